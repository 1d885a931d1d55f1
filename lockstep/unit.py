"""The systemd unit of a configuration: started after the disk is there, watched, restarted when that helps, and shut in.

The sequencer needs its journal's folder, a Unix socket and nothing else of the machine; a whole system (`up`) needs the network
too. All that is not needed is taken away. Exit codes that a restart cannot mend (apps/exits.py) are not restarted.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

import msgspec

from apps import exits
from lockstep.config import Config, ConfigError
from lockstep.supervisor import RESTART_WINDOW_S, RESTARTS_MAX
from sequencer.attach import socket_path

What = Literal["sequencer", "up", "socket"]
WATCHDOG_S = 10
START_S = 300
STOP_S = {"sequencer": 30, "up": 60}


class UnitOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the configuration does not say."""

    user: str
    folder: Path
    """Relative paths of the configuration start here."""
    cores: str = ""
    nice: int | None = None
    realtime: int | None = None


def unit_name(config: Config, what: What) -> str:
    """The file's name."""
    stem = "".join(c if c.isalnum() or c in "-_." else "-" for c in config.path.stem)
    return f"lockstep-{stem}.socket" if what == "socket" else f"lockstep-{stem}.service"


def unit(config: Config, what: What, options: UnitOptions) -> str:
    """The text of the unit."""
    return _socket(config, options) if what == "socket" else _service(config, what, options)


def _socket(config: Config, options: UnitOptions) -> str:
    if "{date}" in config.system.session.journal:
        raise config.error("session.journal", config.system.session.journal, "a fixed folder: a socket unit has one path")
    return _text(
        {
            "Unit": [("Description", f"lockstep: where publishers of {config.path.name} attach")],
            "Socket": [
                ("ListenSequentialPacket", _path(socket_path(config.journal))), ("SocketUser", options.user),
                ("SocketMode", "0600"), ("DirectoryMode", "0700"), ("Backlog", 64), ("RemoveOnStop", "yes"),
                ("Service", unit_name(config, "sequencer")),
            ],
            "Install": [("WantedBy", "sockets.target")],
        }
    )  # fmt: skip


def _service(config: Config, what: What, options: UnitOptions) -> str:
    alone = what == "sequencer"
    folder = _writable(config)
    homes = [p for p in (folder, config.path.absolute(), Path(sys.executable)) if p.parts[1:2] in (("home",), ("root",))]
    service: list[tuple[str, object]] = [
        ("Type", "notify"), ("NotifyAccess", "main"), ("ExecStart", _command(what, config.path.absolute())),
        ("WorkingDirectory", _path(options.folder)), ("User", options.user), ("UMask", "0077"),
        ("WatchdogSec", WATCHDOG_S), ("Restart", "on-failure"), ("RestartSec", 1),
        ("RestartPreventExitStatus", " ".join(map(str, sorted(exits.HOPELESS)))),
        ("TimeoutStartSec", START_S), ("TimeoutStopSec", STOP_S[what]), ("KillMode", "mixed"),
        ("LimitCORE", 0), ("LimitMEMLOCK", 0), ("LimitNOFILE", 4096), ("OOMScoreAdjust", -500),
    ]  # fmt: skip
    if options.cores:
        service.append(("CPUAffinity", options.cores))
    if options.nice is not None:
        service.append(("Nice", options.nice))
    if options.realtime is not None:
        service += [("CPUSchedulingPolicy", "fifo"), ("CPUSchedulingPriority", options.realtime)]
    else:
        service.append(("RestrictRealtime", "yes"))
    service += [
        ("ReadWritePaths", _path(folder)), ("ProtectSystem", "strict"), ("ProtectHome", "read-only" if homes else "yes"),
        ("PrivateTmp", "no" if folder.parts[1:2] == ("tmp",) else "yes"), ("PrivateDevices", "yes"),
        ("PrivateNetwork", "yes" if alone else "no"),
        ("RestrictAddressFamilies", "AF_UNIX" if alone else "AF_UNIX AF_INET AF_INET6"),
        *((name, "yes") for name in (
            "NoNewPrivileges", "MemoryDenyWriteExecute", "LockPersonality", "ProtectClock", "ProtectControlGroups",
            "ProtectHostname", "ProtectKernelLogs", "ProtectKernelModules", "ProtectKernelTunables", "RestrictNamespaces",
            "RestrictSUIDSGID",
        )),
        ("ProtectProc", "invisible"), ("CapabilityBoundingSet", ""), ("AmbientCapabilities", ""),
        ("SystemCallArchitectures", "native"), ("SystemCallFilter", "@system-service"),
        ("SystemCallFilter", "~@privileged @obsolete"), ("SystemCallErrorNumber", "EPERM"),
    ]  # fmt: skip
    return _text(
        {
            "Unit": [
                ("Description", f"lockstep {what} of {config.path.name}"), ("RequiresMountsFor", _path(folder)),
                ("StartLimitIntervalSec", int(RESTART_WINDOW_S)), ("StartLimitBurst", RESTARTS_MAX),
                *([] if alone else [("Wants", "network-online.target"), ("After", "network-online.target")]),
            ],
            "Service": service,
            "Install": [("WantedBy", "multi-user.target")],
        }
    )  # fmt: skip


def _writable(config: Config) -> Path:
    """The one folder that it writes: the journal's, or the one above when each day has its own, or it is still to be made."""
    given = Path(config.system.session.journal).absolute()
    at = next((i for i, part in enumerate(given.parts) if "{date}" in part), len(given.parts))
    folder = Path(*given.parts[:at])
    folder = folder if at < len(given.parts) or folder.exists() else folder.parent
    if folder == Path("/"):
        raise config.error("session.journal", config.system.session.journal, "a folder below one that may be written whole")
    return folder


def _command(what: What, config: Path) -> str:
    script = Path(sys.executable).with_name("lockstep")
    start = [str(script)] if script.exists() else [sys.executable, "-m", "lockstep"]
    return " ".join(_argument(word) for word in [*start, what, str(config)])


def _argument(word: str) -> str:
    """One word of a command line: systemd reads %, $, quotes and backslashes."""
    word = _checked(word).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{word}"' if any(c in word for c in " ;'") else word


def _path(path: Path) -> str:
    return _checked(str(path)).replace("%", "%%").replace(" ", "\\x20")


def _checked(text: str) -> str:
    if any(ord(c) < 32 or ord(c) == 127 for c in text):
        raise ConfigError(f"{text!r}: expected a path without control characters: it becomes a line of a unit file")
    return text


def _text(sections: dict[str, list[tuple[str, object]]]) -> str:
    parts = (f"[{name}]\n" + "".join(f"{key}={value}\n" for key, value in lines) for name, lines in sections.items())
    return "\n".join(parts)
