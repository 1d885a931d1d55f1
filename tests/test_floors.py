"""The floors of the building: who may import whom, and where time, chance and the outside world may enter.

Read from the source by its syntax tree, not by importing it. A failure says file:line and what to do instead.
"""

import ast
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("journal", "sequencer", "oms", "riskengine", "apps", "gateways", "replay", "lockstep")
FLOORS = {
    "journal": {"journal"},
    "sequencer": {"sequencer", "journal"},
    "oms": {"oms", "journal"},
    "riskengine": {"riskengine", "journal"},
    "apps": {"apps", "oms", "riskengine", "journal"},
    "gateways": {"gateways", "apps", "sequencer", "oms", "riskengine", "journal"},
    "replay": {"replay", "apps", "sequencer", "oms", "riskengine", "journal"},
    "lockstep": set(PACKAGES),
}
# The live host is where apps meet processes.
BESIDES = {"apps.live": {"sequencer"}}

# Functions of the stream. Not among them: what hosts apps, what keeps their files, what loads and reads their sources.
DETERMINISTIC = ("apps", "oms", "riskengine")
HOSTS = {"apps.live", "apps.snapshots", "apps.taking", "apps.discovery", "apps.identity"}
# Names and wraps what it forbids.
GUARD = "apps.guard"
# What only the build runs.
BUILDS = "kernel.build"
WORLD = {
    "time", "datetime", "calendar", "random", "secrets", "uuid", "os", "io", "tempfile", "shutil", "platform", "getpass",
    "socket", "select", "selectors", "ssl", "signal", "subprocess", "threading", "multiprocessing", "concurrent", "asyncio",
    "queue", "sched", "locale", "mmap", "websockets", "uvloop",
}  # fmt: skip

# Calls that read the wall clock or draw a number. Waiting and measuring (time.monotonic, perf_counter) decide nothing on the
# stream and are free outside of the deterministic packages.
CLOCK = {"time.time", "time.time_ns", "time.clock_gettime", "time.clock_gettime_ns", "time.localtime", "time.gmtime",
         "time.strftime", "time.ctime", "datetime.now", "datetime.utcnow", "datetime.today", "date.today"}  # fmt: skip
CHANCE = {"os.urandom", "os.getrandom"}
CHANCE_MODULES = {"random", "secrets", "uuid"}
ALLOWED = {
    "journal.clock": "the clock seam",
    "journal.entropy": "the entropy seam",
    "apps.guard.trap": "wraps what reads the clock and draws numbers, so that no app can",
    "gateways.sim.exchange.process": "the exchange is the outside world: it stamps what it says; its pauses are seeded",
    "gateways.sim.exchange.server": "the outside world's clock, in its answers",
    "gateways.sim.exchange.market": "the outside world's flow, from a seed",
    "gateways.sim.exchange.faults": "the outside world's misbehaviour, from a seed",
    "lockstep.feeds": "a generated market for backtests, from a seed; recorded before any app sees it",
    "lockstep.config": "{date} in the name of the journal's folder",
    "lockstep.demo": "the name of a demo's folder",
    "lockstep.commands.backtest": "the name of a backtest's folder",
    "lockstep.commands.whatif": "the name of a what-if's folder",
    "lockstep.bench.replay": "a bench's own messages, from a fixed seed",
    "lockstep.torture.passes": "a campaign's forged orders, from its seed",
    "lockstep.torture.schemas": "a campaign's hostile texts, each from its seed",
}


class Edge(NamedTuple):
    module: str
    target: str
    line: int
    top: bool  # imported when the module is, not inside a function or for the type checker only


class Source(NamedTuple):
    name: str
    path: Path
    tree: ast.Module

    def at(self, line):
        return f"{self.path.relative_to(ROOT)}:{line}"


def sources():
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = list(path.relative_to(ROOT).with_suffix("").parts)
            if parts[-1] == "__init__":
                parts.pop()
            name = ".".join(parts)
            found[name] = Source(name, path, ast.parse(path.read_text("utf-8"), str(path)))
    return found


SOURCES = sources()


def edges(source):
    """Everything a module imports, resolved to modules of ours where it names one."""
    late = set()
    for node in ast.walk(source.tree):
        function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        typing = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        if function or typing:
            late.update(id(n) for n in ast.walk(node))
    package = source.name if source.path.name == "__init__.py" else source.name.rpartition(".")[0]
    for node in ast.walk(source.tree):
        top = id(node) not in late
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Edge(source.name, alias.name, node.lineno, top)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")
                base = ".".join([*parents[: len(parents) - node.level + 1], *filter(None, [node.module])])
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                yield Edge(source.name, whole if whole in SOURCES else base, node.lineno, top)


EDGES = {name: list(edges(source)) for name, source in SOURCES.items()}


def packages_of(edge):
    return edge.module.partition(".")[0], edge.target.partition(".")[0]


def listed(wrong):
    return "\n" + "\n".join(wrong)


def test_imports_point_down():
    wrong = []
    for source in SOURCES.values():
        for edge in EDGES[source.name]:
            ours, theirs = packages_of(edge)
            if theirs not in PACKAGES or theirs in FLOORS[ours] or theirs in BESIDES.get(edge.module, ()):
                continue
            wrong.append(
                f"{source.at(edge.line)}: {ours} imports {edge.target}; {ours} may import {', '.join(sorted(FLOORS[ours]))}. "
                f"Move the code down a floor, or hand the object in from above"
            )
    assert not wrong, listed(wrong)


@pytest.mark.parametrize("package", ["oms", "riskengine"])
def test_state_machines_know_messages_only(package):
    wrong = [
        f"{source.at(edge.line)}: {edge.target}; {package} may import journal.messages only. Hosts (apps/) do the rest"
        for source in SOURCES.values()
        for edge in EDGES[source.name]
        if packages_of(edge) == (package, "journal")
        and not (edge.target == "journal.messages" or edge.target.startswith("journal.messages."))
    ]
    assert not wrong, listed(wrong)


def test_no_module_imports_itself_around_a_corner():
    graph = {name: [] for name in SOURCES}
    for source in SOURCES.values():
        for edge in EDGES[source.name]:
            if edge.top and edge.target in SOURCES and edge.target != source.name:
                graph[source.name].append(edge)
    done, path = set(), []

    def visit(name):
        if name in done:
            return
        ring = next((i for i, e in enumerate(path) if e.module == name), None)
        if ring is not None:
            steps = [f"{SOURCES[e.module].at(e.line)}: {e.module} imports {e.target}" for e in path[ring:]]
            raise AssertionError(listed([*steps, "a cycle of imports: move what both need into a module below them"]))
        for edge in graph[name]:
            path.append(edge)
            visit(edge.target)
            path.pop()
        done.add(name)

    for name in SOURCES:
        visit(name)


def deterministic():
    ours = [s for n, s in SOURCES.items() if n.partition(".")[0] in DETERMINISTIC and not n.startswith(GUARD)]
    return [s for s in ours if s.name not in HOSTS and not s.name.endswith(BUILDS)]


def test_functions_of_the_stream_import_no_world():
    wrong = [
        f"{source.at(edge.line)}: imports {edge.target}: an app is a function of the stream. Use self.now for time and timers; "
        f"let a gateway or host do I/O and publish what it saw"
        for source in deterministic()
        for edge in EDGES[source.name]
        if edge.target.partition(".")[0] in WORLD
    ]
    assert not wrong, listed(wrong)


def test_functions_of_the_stream_do_not_hash_draw_or_open():
    """What needs no import: hash() of text differs between processes, open() is the world."""
    wrong = [
        f"{source.at(node.lineno)}: {node.func.id}(): differs between processes. Use the message's own ids, or a digest of its "
        f"bytes; let a gateway or host do I/O"
        for source in deterministic()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("hash", "open", "input")
    ]
    assert not wrong, listed(wrong)


def test_functions_of_the_stream_hold_no_floats():
    """A float literal, or a true division, in an app is a float in money or in state sooner or later."""
    wrong = []
    for source in deterministic():
        for node in ast.walk(source.tree):
            literal = isinstance(node, ast.Constant) and isinstance(node.value, float)
            division = isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div)
            if literal or division:
                wrong.append(f"{source.at(node.lineno)}: {ast.unparse(node)}: a float; use integers with an exponent, and //")
    assert not wrong, listed(wrong)


def outside(source):
    """(line, what) of every use of the wall clock or of chance."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] in CHANCE_MODULES:
                    yield node.lineno, f"import {alias.name}"
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            if (node.module or "").partition(".")[0] in CHANCE_MODULES or names & (CLOCK | CHANCE):
                yield node.lineno, f"from {node.module} import …"
        elif isinstance(node, ast.Attribute):
            text = ast.unparse(node)
            if any(text == name or text.endswith(f".{name}") for name in CLOCK | CHANCE):
                yield node.lineno, text


def test_clock_and_chance_enter_by_their_seams():
    wrong = [
        f"{source.at(line)}: {what}: take a journal.clock.Clock, or journal.entropy, or give a reason in ALLOWED"
        for source in SOURCES.values()
        if source.name not in ALLOWED
        for line, what in outside(source)
    ]
    assert not wrong, listed(wrong)


def test_the_list_of_exceptions_is_true():
    idle = [name for name in ALLOWED if name not in SOURCES or not list(outside(SOURCES[name]))]
    assert not idle, f"in ALLOWED without need: {idle}; take them out"


@pytest.mark.parametrize(
    ("module", "text", "finds"),
    [
        ("oms.probe", "from apps.group import Group\n", "up"),
        ("apps.probe", "def late():\n    import gateways.network\n", "up"),
        ("apps.probe", "from ..sequencer import client\n", "up"),
        ("apps.probe", "import time\n", "world"),
        ("apps.probe", "from datetime import datetime\n", "world"),
        ("replay.probe", "import time as t\nt0 = time.time_ns()\n", "outside"),
        ("replay.probe", "import datetime\ndatetime.datetime.now()\n", "outside"),
        ("replay.probe", "from time import time_ns\n", "outside"),
        ("replay.probe", "from random import Random\n", "outside"),
    ],
)
def test_the_tests_above_would_find_it(module, text, finds):
    source = Source(module, ROOT / (module.replace(".", "/") + ".py"), ast.parse(text))
    if finds == "up":
        assert any(t in PACKAGES and t not in FLOORS[o] for o, t in map(packages_of, edges(source)))
    elif finds == "world":
        assert any(edge.target in WORLD for edge in edges(source))
    else:
        assert list(outside(source))
