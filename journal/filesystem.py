"""What a journal's filesystem can promise: one in memory, or of a container, syncs without putting anything on a disk."""

from __future__ import annotations

from pathlib import Path

_NO_DISK = {
    "tmpfs": "lives in memory",
    "ramfs": "lives in memory",
    "devtmpfs": "lives in memory",
    "hugetlbfs": "lives in memory",
    "overlay": "is a container's layer, which may be thrown away with it",
    "aufs": "is a container's layer, which may be thrown away with it",
}
MOUNTS = Path("/proc/self/mountinfo")


def filesystem_of(path: Path) -> str:
    """The type of the filesystem that holds `path`; empty where nobody can tell."""
    try:
        lines = MOUNTS.read_text("utf-8", "replace").splitlines()
        target = path.resolve()
    except OSError:
        return ""
    best, found = -1, ""
    for line in lines:
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) < 5 or not after:
            continue
        mount = Path(fields[4].replace("\\040", " "))
        # Of two mounts on one place the later one hides the other.
        if (mount == target or mount in target.parents) and len(mount.parts) >= best:
            best, found = len(mount.parts), after.split(" ", 1)[0]
    return found


def sync_warning(folder: Path) -> str | None:
    """One line where a sync on this folder's filesystem does not mean what it should; None where it does."""
    kind = filesystem_of(folder)
    if kind not in _NO_DISK:
        return None
    return (
        f"{folder}: {kind} {_NO_DISK[kind]}: what is reported as durable does not survive the machine; "
        "put the journal on a disk (ext4, xfs)"
    )
