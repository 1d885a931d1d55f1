"""A model checker for C11 atomics: every execution of a few small threads, with every value a load may return.

x86 hides a store that should have been a release; this machine does not. It is the view semantics of release/acquire C11
(Kang et al., "A promising semantics for relaxed-memory concurrency", 2017, without promises; fences as in Lahav et al.,
"Repairing sequential consistency in C/C++11", 2017): a location is a list of messages, a view says which message of each
location a thread has seen at least, a load may return any message not older than that, and a release message carries its
writer's view to whoever acquires it. A plain access that is not ordered after a conflicting one is a data race, found with
vector clocks that travel in the views. All words here have one writer, so messages are only ever added at the end.

A thread is a generator of operations that receives their results:

    ("load", word, order) -> value        order: "relaxed" or "acquire"
    ("store", word, value, order)         order: "relaxed" or "release"
    ("fence",)                            sequentially consistent
    ("read", cell) -> value, ("write", cell, value)       plain
    ("wake", fd), ("sleep", fd)           an eventfd: sleep waits for a wake, and takes it
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

Op = tuple[Any, ...]
Program = Callable[[], Generator[Op, Any, None]]
View = tuple[int, ...]


@dataclass
class Verdict:
    """What all executions did: `states` looked at, and the first way each thing went wrong."""

    states: int = 0
    wrong: dict[str, str] = field(default_factory=dict)
    ends: set[tuple[tuple[Any, ...], ...]] = field(default_factory=set)  # what each thread's loads returned, at the end


@dataclass(frozen=True)
class _Thread:
    results: tuple[Any, ...]  # of its operations so far: they determine what it does next
    view: View
    acquired: View  # what relaxed loads would bring if a fence followed
    released: View  # what relaxed stores carry: the view at the last fence


@dataclass(frozen=True)
class _State:
    threads: tuple[_Thread, ...]
    words: tuple[tuple[tuple[Any, View], ...], ...]
    cells: tuple[tuple[Any, int, int, tuple[int, ...]], ...]  # value, writer, its clock, clock of each thread's last read
    fds: tuple[tuple[int, View], ...]
    fence: View  # the order of all fences


def _join(a: View, b: View) -> View:
    return a if a == b else tuple(map(max, a, b))


class Checker:
    """Threads by name, words, cells (name to first value) and eventfds."""

    def __init__(self, threads: dict[str, Program], *, words: dict[str, Any], cells: dict[str, Any] | None = None,
                 fds: tuple[str, ...] = ()) -> None:  # fmt: skip
        self.names, self.programs = list(threads), list(threads.values())
        self.word_of = {name: i for i, name in enumerate(words)}
        self.cell_of = {name: i for i, name in enumerate(cells or {})}
        self.fd_of = {name: i for i, name in enumerate(fds)}
        self.clock_at = len(words)
        nothing = (0,) * (len(words) + len(threads))
        # Thread clocks begin at 1: a cell's first value was written at clock 0, before everything.
        self.first = _State(
            threads=tuple(_Thread((), self._at_clock(nothing, i, 1), nothing, nothing) for i in range(len(threads))),
            words=tuple(((value, nothing),) for value in words.values()),
            cells=tuple((value, 0, 0, (0,) * len(threads)) for value in (cells or {}).values()),
            fds=tuple((0, nothing) for _ in fds),
            fence=nothing,
        )
        self._next: dict[tuple[int, tuple[Any, ...]], Op | None] = {}

    def _at_clock(self, view: View, thread: int, clock: int) -> View:
        at = self.clock_at + thread
        return (*view[:at], clock, *view[at + 1 :])

    def run(self, *, states_max: int = 400_000) -> Verdict:
        """Explore everything."""
        verdict, seen, stack = Verdict(), {self.first}, [self.first]
        while stack:
            state = stack.pop()
            verdict.states += 1
            assert verdict.states <= states_max, f"more than {states_max} states: make the program smaller"
            following = self._following(state, verdict)
            if not following:
                verdict.ends.add(tuple(tuple(r for r in t.results if r is not None) for t in state.threads))
            for step in following:
                if step not in seen:
                    seen.add(step)
                    stack.append(step)
        return verdict

    # ---- one step

    def _op(self, thread: int, results: tuple[Any, ...], verdict: Verdict) -> Op | None:
        key = (thread, results)
        if key not in self._next:
            program, op = self.programs[thread](), None
            try:
                op = next(program)
                for result in results:
                    op = program.send(result)
            except StopIteration:
                op = None
            except AssertionError as wrong:
                verdict.wrong.setdefault("assertion", f"{self.names[thread]}: {wrong}")
                op = None
            self._next[key] = op
        return self._next[key]

    def _following(self, state: _State, verdict: Verdict) -> list[_State]:
        ops = [self._op(i, t.results, verdict) for i, t in enumerate(state.threads)]
        # A plain access touches nothing another thread can see without a race: taking it at once loses no execution.
        for i, op in enumerate(ops):
            if op is not None and op[0] in ("read", "write"):
                return [self._plain(state, i, op, verdict)]
        out, asleep = [], []
        for i, op in enumerate(ops):
            if op is None:
                continue
            if op[0] == "sleep" and state.fds[self.fd_of[op[1]]][0] == 0:
                asleep.append(self.names[i])
                continue
            out += getattr(self, f"_{op[0]}")(state, i, op)
        if asleep and not out:
            verdict.wrong.setdefault("lost wake", f"{', '.join(asleep)} sleeps for ever")
        return out

    def _step(self, state: _State, i: int, result: Any, *, view: View, acquired: View | None = None,
              released: View | None = None, **changes: Any) -> _State:  # fmt: skip
        old = state.threads[i]
        new = _Thread((*old.results, result), view, acquired or old.acquired, released or old.released)
        base = {"words": state.words, "cells": state.cells, "fds": state.fds, "fence": state.fence} | changes
        return _State(threads=(*state.threads[:i], new, *state.threads[i + 1 :]), **base)

    def _load(self, state: _State, i: int, op: Op) -> list[_State]:
        word, order, thread = self.word_of[op[1]], op[2], state.threads[i]
        out = []
        for at in range(thread.view[word], len(state.words[word])):
            value, carried = state.words[word][at]
            view = (*thread.view[:word], at, *thread.view[word + 1 :])
            if order == "acquire":
                out.append(self._step(state, i, value, view=_join(view, carried)))
            else:
                out.append(self._step(state, i, value, view=view, acquired=_join(thread.acquired, carried)))
        return out

    def _store(self, state: _State, i: int, op: Op) -> list[_State]:
        word, value, order, thread = self.word_of[op[1]], op[2], op[3], state.threads[i]
        at = len(state.words[word])
        assert thread.view[word] == at - 1, f"{op[1]} has two writers"
        view = (*thread.view[:word], at, *thread.view[word + 1 :])
        source = view if order == "release" else thread.released
        carried = (*source[:word], at, *source[word + 1 :])
        words = (*state.words[:word], (*state.words[word], (value, carried)), *state.words[word + 1 :])
        # What follows a release is not part of it: a new clock.
        return [self._step(state, i, None, view=self._tick(view, i), words=words)]

    def _tick(self, view: View, i: int) -> View:
        return self._at_clock(view, i, view[self.clock_at + i] + 1)

    def _fence(self, state: _State, i: int, op: Op) -> list[_State]:
        thread = state.threads[i]
        view = _join(_join(thread.view, thread.acquired), state.fence)
        return [self._step(state, i, None, view=self._tick(view, i), released=view, fence=view)]

    def _wake(self, state: _State, i: int, op: Op) -> list[_State]:
        fd, thread = self.fd_of[op[1]], state.threads[i]
        count, carried = state.fds[fd]
        fds = (*state.fds[:fd], (min(count + 1, 2), _join(carried, thread.view)), *state.fds[fd + 1 :])
        return [self._step(state, i, None, view=self._tick(thread.view, i), fds=fds)]

    def _sleep(self, state: _State, i: int, op: Op) -> list[_State]:
        fd, thread = self.fd_of[op[1]], state.threads[i]
        _, carried = state.fds[fd]
        fds = (*state.fds[:fd], (0, carried), *state.fds[fd + 1 :])
        return [self._step(state, i, None, view=_join(thread.view, carried), fds=fds)]

    def _plain(self, state: _State, i: int, op: Op, verdict: Verdict) -> _State:
        cell, thread = self.cell_of[op[1]], state.threads[i]
        value, writer, write_clock, read_clocks = state.cells[cell]

        def known(j: int, clock: int) -> bool:
            return j == i or thread.view[self.clock_at + j] >= clock

        if not known(writer, write_clock):
            verdict.wrong.setdefault("data race", f"{self.names[i]} touches {op[1]} beside a write of {self.names[writer]}")
        now = thread.view[self.clock_at + i]
        if op[0] == "write":
            for j, clock in enumerate(read_clocks):
                if clock and not known(j, clock):
                    verdict.wrong.setdefault("data race", f"{self.names[i]} writes {op[1]} while {self.names[j]} reads it")
            new = (op[2], i, now, read_clocks)
        else:
            new = (value, writer, write_clock, (*read_clocks[:i], now, *read_clocks[i + 1 :]))
        cells = (*state.cells[:cell], new, *state.cells[cell + 1 :])
        return self._step(state, i, value if op[0] == "read" else None, view=thread.view, cells=cells)
