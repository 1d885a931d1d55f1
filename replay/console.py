"""The debugger's commands, typed or from a pipe. `lockstep debug` explains them in docs/cli.md.

From a pipe there are no prompts; an error is one line on standard error, the next command is read, and the exit code is 2 at
the end. At a terminal an error is only said.
"""

from __future__ import annotations

import cmd
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import msgspec

from apps.books.app import Books
from apps.group import Slot
from apps.ledger import Diverged
from journal.errors import OperatingError
from journal.frames import frames
from journal.messages import REGISTRY, Side
from journal.messages.orders import order_id_text
from journal.text import decimal_text, frame_text, number_of, time_text
from journal.values import ABSENT
from replay.causes import chain
from replay.cursor import Cursor, Place, Stop
from replay.debug import Left, Session, Travel
from replay.expression import NAMES, Expression
from replay.finding import find_seq, order_id
from replay.scene import Scene, find
from replay.tree import at_path, difference_lines, differences, lines_of, tree_of

LINES_MAX = 400
LEVELS = 10
NEIGHBOURS = 5


class BadCommand(OperatingError, ValueError):
    """A command that cannot be understood; says what was expected."""


class Break(msgspec.Struct, frozen=True):
    """Where `continue` stops: all that is given has to fit."""

    text: str
    kind: int | None = None
    instrument: int | None = None
    order: int | None = None

    def __call__(self, stop: Stop) -> bool:
        m: Any = stop.message
        if m is None:
            return False
        return (
            self.kind in (None, m.KIND)
            and self.instrument in (None, getattr(m, "instrument", 0))
            and self.order in (None, getattr(m, "order_id", 0))
        )


class Console(cmd.Cmd):
    """Commands of one session."""

    identchars = cmd.Cmd.identchars + "-"
    doc_header = "Commands (help NAME explains one; names for expressions: help names):"

    def __init__(self, stdin: IO[str] | None = None, stdout: IO[str] | None = None) -> None:
        super().__init__(stdin=stdin, stdout=stdout)
        self.failed = False
        self.breaks: dict[int, Break] = {}
        self._session: Session | None = None
        self._other: Cursor | None = None
        self._piped = not (stdin or sys.stdin).isatty()
        self.use_rawinput = not self._piped

    def __call__(self, session: Session) -> None:
        """Take commands until one goes on (returns) or elsewhere (raises)."""
        self._session = session
        session.complain = self._complain
        stop = session.stop
        where = f"{stop.slot.name}@{stop.place.seq}" if stop is not None else f"end@{session.place.seq - 1}"
        self.prompt = "" if self._piped else f"({where}{'!' if session.error is not None else ''}) "
        self.cmdloop()

    @property
    def session(self) -> Session:
        """Whose commands these are."""
        assert self._session is not None
        return self._session

    def onecmd(self, line: str) -> bool:
        """One line; what is wrong with it is told."""
        try:
            return bool(super().onecmd(line))
        except OperatingError as error:
            self._complain(str(error))
        return False

    def emptyline(self) -> bool:
        """Nothing: an empty line does not move anything."""
        return False

    def default(self, line: str) -> None:
        """Something that is no command."""
        raise BadCommand(f"{line.split()[0]}: no such command; help lists them")

    def parseline(self, line: str) -> tuple[str | None, str | None, str]:
        """`back-until` is the method `do_back_until`."""
        if line.strip() == "EOF":
            return "EOF", "", line
        command, argument, whole = super().parseline(line)
        return (command.replace("-", "_") if command else command), argument, whole

    def completenames(self, text: str, *_ignored: Any) -> list[str]:
        """Names of commands."""
        return [name for n in self.get_names() if n.startswith("do_") and (name := n[3:].replace("_", "-")).startswith(text)]

    def do_help(self, arg: str) -> None:
        """help [COMMAND]: what the commands do."""
        if arg == "names":
            self._print(*(f"  {name:<9} {what}" for name, what in NAMES.items()))
        elif arg:
            method = getattr(self, "do_" + arg.replace("-", "_"), None)
            if method is None:
                raise BadCommand(f"{arg}: no such command; help lists them")
            self._print(" ".join((method.__doc__ or "").split()))
        else:
            self._print(self.doc_header)
            for name in sorted(self.completenames("")):
                first = " ".join((getattr(self, "do_" + name.replace("-", "_")).__doc__ or "").split()).split(". ")[0]
                if name != "EOF":
                    self._print(f"  {first.rstrip('.')}")

    # Moves.

    def do_next(self, _arg: str) -> bool:
        """next: to the next event of this app (of any, without --app)."""
        return self._forward(lambda _: True)

    def do_step(self, _arg: str) -> bool:
        """step: into the handler, with pdb (n, s, p, w, b, c; q comes back to before the call). After an app has raised: to
        where it did."""
        if self.session.error is not None:
            self.session.autopsy()
            return False
        self.session.into = True
        return self._forward(lambda _: True)

    def do_back(self, _arg: str) -> bool:
        """back: to the event before this one."""
        return self._backward(None)

    def do_goto(self, arg: str) -> bool:
        """goto SEQ|TIME|ORDER: to the first event from there on."""
        raise Travel(self._place(arg, "goto SEQ, TIME or ORDER"))

    def do_until(self, arg: str) -> bool:
        """until EXPR: forward to the next event at which it holds: until order.status == FILLED and position < 0."""
        return self._forward(self._condition(arg))

    def do_back_until(self, arg: str) -> bool:
        """back-until EXPR: back to the last event before this one at which it held."""
        return self._backward(self._condition(arg))

    def do_break(self, arg: str) -> None:
        """break [kind=NAME] [instrument=SYMBOL] [order=ID]: where continue stops; without anything: the list."""
        if not arg:
            self._print(*([f"  {n}: {b.text}" for n, b in self.breaks.items()] or ["no breaks"]))
            return
        made = self._break(arg)
        number = max(self.breaks, default=0) + 1
        self.breaks[number] = made
        self._print(f"  {number}: {made.text}")

    def do_delete(self, arg: str) -> None:
        """delete [NUMBER]: forget a break; without a number: all."""
        if not arg:
            self.breaks.clear()
        elif (number := number_of(arg)) is None or self.breaks.pop(number, None) is None:
            raise BadCommand(f"delete {arg}: no such break; there are {', '.join(map(str, self.breaks)) or 'none'}")

    def do_continue(self, _arg: str) -> bool:
        """continue: forward to the next event at which one of the breaks fits, or to the journal's end."""
        breaks = list(self.breaks.values())
        return self._forward(lambda stop: any(fits(stop) for fits in breaks))

    def do_quit(self, _arg: str) -> bool:
        """quit: leave."""
        raise Left

    def do_EOF(self, _arg: str) -> bool:  # noqa: N802, the name is cmd's
        """The end of the input leaves too."""
        raise Left

    # Looks.

    def do_state(self, arg: str) -> None:
        """state [PATH]: what the app holds here, as a tree, or the part at a path: state machine.memory.orders."""
        self._tree(lines_of(at_path(tree_of(self._slot().app), arg)))

    def do_diff(self, arg: str) -> None:
        """diff SEQ1 SEQ2: what changed in the app's state between two frames, as a tree."""
        words = arg.split()
        if len(words) != 2:
            raise BadCommand(f"diff {arg}: expected diff SEQ1 SEQ2")
        name = self._slot().name
        trees = []
        if self._other is None:
            self._other = Cursor(self.session.path)
        for word in words:
            seq = find_seq(self.session.path, word)
            try:
                app = self._other.at(seq)[name]
            except OperatingError:
                raise
            except Exception as error:
                # An app raises or differs on the way there. The session's own apps stand where they stood.
                raise BadCommand(f"diff {arg}: no state at seq {seq}: {_in_one_line(error)}") from None
            trees.append(tree_of(app))
        found = list(differences(*trees))
        if not found:
            self._print(f"{name}: no difference between {words[0]} and {words[1]}")
        self._tree(difference_lines(found))

    def do_why(self, _arg: str) -> None:
        """why: the chain of causes of this frame, back to the external input."""
        for depth, frame in enumerate(chain(self.session.path, min(self.session.place.seq, self.session.cursor.last))):
            self._print(f"{'  ' * depth}{'<- ' if depth else ''}{frame_text(frame, self.session.frames).strip()}")

    def do_book(self, arg: str) -> None:
        """book SYMBOL: the book as this app sees it here."""
        session, held = self.session, find(self.session.cursor.group, self.session.slot, Books)
        if held is None:
            raise BadCommand("no app of this session has books")
        known = {d.name: d for d in session.frames.instruments.values()}
        if arg not in known:
            raise BadCommand(f"book {arg}: no such instrument; there are {', '.join(sorted(known)) or 'none'}")
        d = known[arg]
        book = held.book(d.instrument)
        self._print(f"{arg} {tree_of(held).get(str(d.instrument), {}).get('state', 'EMPTY')} exchange_seq {book.exchange_seq}")
        bids, asks = book.levels(Side.BUY, LEVELS), book.levels(Side.SELL, LEVELS)
        for level in reversed(asks):
            self._print(f"  {'':>16} {decimal_text(level.px, d.px_exp):>16} {decimal_text(level.qty, d.qty_exp):>16}")
        for level in bids:
            self._print(f"  {decimal_text(level.qty, d.qty_exp):>16} {decimal_text(level.px, d.px_exp):>16}")

    def do_timers(self, _arg: str) -> None:
        """timers: what is set, in the order in which it will fire."""
        found = False
        for slot in self.session.cursor.group.slots:
            if slot.ledger is not None and slot.name in self.session.names:
                for due, token in slot.timers():
                    found = True
                    left = due - (slot.app.now or self.session.cursor.now)
                    self._print(f"  {slot.name:<16} {time_text(due)} in {left / 1e9:.6f} s, token {_token(token)}")
        if not found:
            self._print("no timers")

    def do_list(self, _arg: str) -> None:
        """list: the frames around this one."""
        session = self.session
        here = session.place.seq
        last = session.cursor.last
        for frame in frames(session.path, from_seq=max(1, here - NEIGHBOURS), to_seq=min(last, here + NEIGHBOURS)):
            mark = "->" if frame.header.seq == here else "  "
            self._print(f"{mark} {frame_text(frame, session.frames)}")

    def do_where(self, _arg: str) -> None:
        """where: this event again."""
        if self.session.stop is None:
            self._print(self.session.stuck)
        else:
            self.session.tell()

    def do_p(self, arg: str) -> None:
        """p PYTHON: the value of any Python expression, with the names of expressions (help names) and all of Python. What it
        changes is undone by the next move back."""
        scene = self._scene()
        self.session.cursor.touched = True
        try:
            names = {name: None if (value := getattr(scene, name)) is ABSENT else value for name in NAMES}
            value = eval(arg, {**names, "__builtins__": __builtins__})
        except Exception as error:
            raise BadCommand(f"p {arg}: {type(error).__name__}: {error}") from None
        self._print(repr(value))

    # Completion.

    def complete_state(self, text: str, *_ignored: Any) -> list[str]:
        """Paths in the state."""
        parent, dot, begun = text.rpartition(".")
        try:
            here = at_path(tree_of(self._slot().app), parent)
        except OperatingError:
            return []
        return [f"{parent}{dot}{name}" for name in here if name.startswith(begun)] if isinstance(here, dict) else []

    def complete_break(self, text: str, *_ignored: Any) -> list[str]:
        """Keys and kinds."""
        return [
            w
            for w in ("kind=", "instrument=", "order=", *(f"kind={c.__name__}" for c in REGISTRY.values()))
            if w.startswith(text)
        ]

    def complete_book(self, text: str, *_ignored: Any) -> list[str]:
        """Symbols."""
        return [d.name for d in self.session.frames.instruments.values() if d.name.startswith(text)]

    def complete_until(self, text: str, *_ignored: Any) -> list[str]:
        """Names of expressions."""
        return [name for name in NAMES if name.startswith(text)]

    complete_back_until = complete_until

    # How.

    def _forward(self, wanted: Callable[[Stop], bool]) -> bool:
        self.session.wanted = wanted
        return True

    def _backward(self, match: Callable[[Stop], bool] | None) -> bool:
        session, here = self.session, self.session.place
        found = None
        try:
            found = session.cursor.previous(here, session.names, match)
        except OperatingError as error:
            self._complain(str(error))
        except Exception as error:
            # Code that was changed since it came by here: by `p`, or where a state was held of the code as it was.
            self._complain(f"no way back: {_in_one_line(error)}")
        else:
            if found is None:
                self._complain("nothing before this" if match is None else "it held nowhere before this")
        # The search has moved the cursor: to what was found, or back to here.
        raise Travel(found or here, quiet=found is None)

    def _condition(self, text: str) -> Callable[[Stop], bool]:
        if not text:
            raise BadCommand("expected an expression such as: order.status == FILLED and position < 0")
        expression = Expression(text)
        cursor = self.session.cursor
        return lambda stop: expression(Scene(cursor.group, stop))

    def _break(self, arg: str) -> Break:
        given: dict[str, int] = {}
        try:
            words = shlex.split(arg)
        except ValueError as error:
            raise BadCommand(f"break {arg}: {error}") from None
        for word in words:
            key, equals, value = word.partition("=")
            if not equals or key not in ("kind", "instrument", "order"):
                raise BadCommand(f"break {word}: expected kind=NAME, instrument=SYMBOL or order=ID")
            given[key] = self._break_value(key, value)
        return Break(arg, **given)

    def _break_value(self, key: str, value: str) -> int:
        if key == "order":
            return order_id(value)
        if key == "kind":
            kinds = {cls.__name__: cls.KIND for cls in REGISTRY.values()}
            if value not in kinds:
                raise BadCommand(f"break kind={value}: no such kind; `lockstep journal info` counts those of a journal")
            return kinds[value]
        known = {d.name: d.instrument for d in self.session.frames.instruments.values()}
        if value not in known:
            raise BadCommand(f"break instrument={value}: no such instrument; there are {', '.join(sorted(known)) or 'none'}")
        return known[value]

    def _place(self, arg: str, expected: str) -> Place:
        if not arg:
            raise BadCommand(f"expected {expected}")
        return Place(find_seq(self.session.path, arg))

    def _slot(self) -> Slot:
        slot = self.session.slot
        if slot is None:
            raise BadCommand("which app? start with --app NAME, or go back to an event")
        return slot

    def _scene(self) -> Scene:
        scene = self.session.scene
        if scene is None:
            raise BadCommand("no message here: go back to an event")
        return scene

    def _tree(self, lines: Any) -> None:
        for n, line in enumerate(lines):
            if n == LINES_MAX:
                self._print(f"… more than {LINES_MAX} lines; state PATH shows a part")
                return
            self._print(line)

    def _print(self, *lines: str) -> None:
        for line in lines:
            self.session.say(line)

    def _complain(self, line: str) -> None:
        print(f"lockstep: {line}" if self._piped else line, file=sys.stderr if self._piped else self.stdout)
        self.failed = True

    def close(self) -> None:
        """Let go of what was opened."""
        if self._other is not None:
            self._other.close()


def _in_one_line(error: Exception) -> str:
    """What an app did on the way. A difference has its messages in the lines behind the first."""
    head = str(error).partition("\n")[0]
    return head if isinstance(error, Diverged) else f"{type(error).__name__}: {head}"


def _token(token: int) -> str:
    return f"{token} (order {order_id_text(token)})" if token >> 48 else str(token)


def debug(
    path: Path,
    at: str,
    name: str | None = None,
    *,
    listen: int | None = None,
    stdin: IO[str] | None = None,
    stdout: IO[str] | None = None,
) -> int:
    """A session that begins at the first event at a seq, time or order, or later. Returns the exit code: 2 when a command from
    a pipe was wrong."""
    console = Console(stdin, stdout)
    seq = find_seq(path, at)
    session = Session(path, name, console, stdin=stdin, stdout=stdout)
    try:
        if listen is not None:
            session.listen(listen)
        session.run(seq)
    finally:
        console.close()
        session.close()
    return 2 if console.failed and console._piped else 0
