"""The rules: what app code must not do, why a replay would differ, and what to write instead. Ids are never reused."""

from __future__ import annotations

import msgspec


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule. `bad` and `good` are one line of code each: the same intention, wrong and right."""

    id: str
    name: str
    why: str
    remedy: str
    bad: str
    good: str


_ALL = (
    Rule(
        id="DET101",
        name="clock",
        why="a replay reads another time",
        remedy="use self.now, the frame's timestamp; to be called later: self.wake(self.now + 5 * SECOND)",
        bad="if time.time_ns() - self.sent_at > SECOND:",
        good="if self.now - self.sent_at > SECOND:",
    ),
    Rule(
        id="DET102",
        name="chance",
        why="a replay draws another number, and no snapshot holds a generator's state",
        remedy="derive it from the stream: self.seq, self.now, or a digest of the message; a seed is a parameter",
        bad="if random.random() < 0.5:",
        good="if self.seq % 2:",
    ),
    Rule(
        id="DET103",
        name="machine",
        why="another machine, user or day gives another answer",
        remedy="make it a parameter: a class-level annotation, given by the configuration and recorded in the stream",
        bad='limit = int(os.environ["LIMIT"])',
        good="limit: int = 10",
    ),
    Rule(
        id="DET104",
        name="io",
        why="what it reads may differ on a replay, and what it writes would be written again",
        remedy="let a gateway read it and publish it as frames; to say something, use self.log(text)",
        bad='rates = open("rates.csv").read()',
        good="def on_trade_summary(self, m: TradeSummary) -> None:",
    ),
    Rule(
        id="DET105",
        name="threads",
        why="who runs first is decided by the machine",
        remedy="do it in the handler of a frame, or later in on_timer: self.wake(at, token)",
        bad="threading.Timer(5, self.requote).start()",
        good="self.wake(self.now + 5 * SECOND, token=1)",
    ),
    Rule(
        id="DET106",
        name="code",
        why="which code runs is not in the source, so neither a reader nor this check can say what it does",
        remedy="import it at the top and call it; choose between ways with a parameter and a dict of functions",
        bad='signal = eval(self.formula, {"mid": mid})',
        good="signal = self.chosen(mid)  # one of FORMULAS, chosen in start()",
    ),
    Rule(
        id="DET107",
        name="collector",
        why="when an object dies, and how many references it has, is decided by the interpreter",
        remedy="keep what you need in a dict and delete it yourself, at a frame",
        bad="self.orders = weakref.WeakValueDictionary()",
        good="self.orders.pop(m.order_id, None)",
    ),
    Rule(
        id="DET108",
        name="foreign",
        why="nothing is known of this module: it may read clocks, files or hash order when it is imported or called",
        remedy="use the standard library, msgspec or numpy; or waive it, saying why its answers depend on its arguments alone",
        bad="import fastmarkets",
        good="import statistics",
    ),
    Rule(
        id="DET201",
        name="set-order",
        why="a set's order depends on the hash seed and on what was in it before",
        remedy="iterate over sorted(…), or keep a dict[…, None], whose order is that of insertion",
        bad="for instrument in self.quoted | self.stale:",
        good="for instrument in sorted(self.quoted | self.stale):",
    ),
    Rule(
        id="DET202",
        name="set-choice",
        why="which of a set's elements comes first depends on the hash seed",
        remedy="take min(…) or max(…) of the elements; end a key with the element itself: key=lambda x: (rank(x), x)",
        bad="venue = venues.pop()",
        good="venue = min(venues)",
    ),
    Rule(
        id="DET203",
        name="folder-order",
        why="a folder's content and its order are the file system's",
        remedy="let a gateway read the files and publish what is in them",
        bad='for name in os.listdir("signals"):',
        good="def on_config_item(self, m: ConfigItem) -> None:",
    ),
    Rule(
        id="DET204",
        name="set-state",
        why="a snapshot needs one order of the elements, and a set has none: the state digest refuses it",
        remedy="keep a dict[…, None]: `in`, add and delete cost the same",
        bad="self.seen: set[int] = set()",
        good="self.seen: dict[int, None] = {}",
    ),
    Rule(
        id="DET205",
        name="identity",
        why="id() is an address, hash() of text and of plain objects differs from process to process",
        remedy="use the message's own ids, or zlib.crc32 / hashlib.blake2b of the bytes",
        bad="bucket = hash(symbol) % 8",
        good="bucket = zlib.crc32(symbol.encode()) % 8",
    ),
    Rule(
        id="DET206",
        name="identity-key",
        why="its objects are equal to themselves only: after a restore the keys are other objects, and no lookup finds them",
        remedy="use an id as key, or give the class an __eq__ and __hash__ of its values (a frozen msgspec.Struct has both)",
        bad="self.fills: dict[Quote, int] = {}",
        good="self.fills: dict[int, int] = {}",
    ),
    Rule(
        id="DET301",
        name="float-state",
        why="binary fractions round, in an order and a library that may change: money that was equal is so no longer, "
        "and the state digest refuses them",
        remedy="keep integers (mantissas, sums, cross-multiplied ratios) or Decimal",
        bad="self.average = self.total / self.count",
        good="if self.total > limit * self.count:",
    ),
    Rule(
        id="DET302",
        name="through-float",
        why="a float holds 53 bits: larger amounts lose their last digits on the way",
        remedy="divide integers with // (and say which way to round), or stay in Decimal",
        bad="half = int(qty / 2)",
        good="half = qty // 2",
    ),
    Rule(
        id="DET303",
        name="decimal-context",
        why="precision and rounding are the whole process's: what another app sets changes your numbers",
        remedy="keep exact numbers (integers, Fraction), or round where it shows: value.quantize(step, rounding=ROUND_DOWN)",
        bad="decimal.getcontext().prec = 12",
        good='value.quantize(Decimal("0.01"), rounding=ROUND_DOWN)',
    ),
    Rule(
        id="DET401",
        name="global-state",
        why="no snapshot holds it, and every app of the process shares it: a restored app finds another value",
        remedy="make it an attribute of the app, in start()",
        bad="CACHE[m.instrument] = m.mid2",
        good="self.cache[m.instrument] = m.mid2",
    ),
    Rule(
        id="DET402",
        name="class-state",
        why="all instances share it, no snapshot holds it",
        remedy="make it in start() or __init__: self.x = …; a constant is a tuple, or a ClassVar that nothing changes",
        bad="orders = []  # in the class",
        good="self.orders: list[int] = []  # in start()",
    ),
    Rule(
        id="DET403",
        name="default-argument",
        why="it is made once and shared by all calls: state that no snapshot holds",
        remedy="default to None or (), and make it inside",
        bad="def quote(self, levels=[]):",
        good="def quote(self, levels=()):",
    ),
    Rule(
        id="DET404",
        name="cached-method",
        why="the cache lives outside of the state: it is empty after a restore, and keeps every instance alive",
        remedy="keep a dict in the app's state, or cache a function of the module that depends on its arguments alone",
        bad="@functools.cache  # on a method",
        good="self.ticks: dict[int, int] = {}",
    ),
    Rule(
        id="DET501",
        name="swallowed",
        why="it also catches what the machine says (MemoryError, RecursionError, an interrupt), and decides by it",
        remedy="catch the error that is meant, by name; let the others stop the app",
        bad="except:",
        good="except KeyError:",
    ),
    Rule(
        id="DET901",
        name="waiver",
        why="whoever reads it later cannot judge it",
        remedy="write `# lockstep: allow RULE because REASON`, with rules that exist",
        bad="# lockstep: allow DET108",
        good="# lockstep: allow DET108 because pure arithmetic, read in full",
    ),
    Rule(
        id="DET902",
        name="waives-nothing",
        why="what it waived is gone; it would hide the next one on that line",
        remedy="delete the comment",
        bad="x = 1  # lockstep: allow DET101 because …",
        good="x = 1",
    ),
)
RULES = {rule.id: rule for rule in _ALL}


class Finding(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """Something found in a file; ordered by place. `what` says it of this very code; why and remedy are the rule's."""

    path: str
    line: int
    column: int
    rule: str
    what: str

    @property
    def text(self) -> str:
        """The finding in one line."""
        rule = RULES[self.rule]
        return f"{self.path}:{self.line}:{self.column}: {self.rule} {self.what}: {rule.why}. Instead: {rule.remedy}"
