"""Recorded market data as lines: `NANOSECONDS JSON`, gzip or plain, several files as one.

Streaming: a capture of any length costs one chunk of memory. A file that ends inside a line or a gzip member is `cut`: every
whole line before the cut is kept, and one sentence says where it was.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from math import gcd
from pathlib import Path
from typing import NamedTuple

import msgspec

from gateways.sim.exchange.listing import Listing, MarketKind, make_listing
from gateways.sim.exchange.numbers import NotDecimal, decimals, mantissa
from gateways.sim.exchange.settings import ExchangeSettings
from journal.errors import OperatingError

CHUNK_BYTES = 1 << 16
LINE_BYTES_MAX = 16 << 20
PROBE_LINES = 2_000


class WrongCapture(OperatingError, ValueError):
    """The file is no capture that we can serve: one line with its name, the line number, found and expected."""


class CaptureLine(NamedTuple):
    number: int  # in its file, from 1
    recv_ns: int
    text: bytes  # the recorded frame, verbatim
    message: CaptureMessage


class CaptureMessage(msgspec.Struct):
    """A frame of a combined stream, or a bare depth snapshot."""

    stream: str = ""
    data: msgspec.Raw = msgspec.Raw()
    lastUpdateId: int | None = None  # noqa: N815 (the venue's word)
    E: int = 0
    T: int = 0
    bids: list[tuple[str, str]] = []
    asks: list[tuple[str, str]] = []


class Depth(msgspec.Struct):
    """depthUpdate; spot has neither `pu` nor `T`."""

    s: str
    U: int
    u: int
    b: list[tuple[str, str]]
    a: list[tuple[str, str]]
    pu: int | None = None
    E: int = 0
    T: int = 0


class Print(msgspec.Struct):
    """trade."""

    s: str
    p: str
    q: str
    m: bool


class Cut(NamedTuple):
    """Why the capture ended early."""

    file: str
    line: int
    kept: int
    detail: str

    def __str__(self) -> str:
        return f"{self.file}: line {self.line}: {self.detail}; the {self.kept} lines before it are kept"


class Capture:
    """Iterate once over the lines of the files. `cut` is set when the iteration ended at damage."""

    def __init__(self, files: tuple[str, ...]) -> None:
        self._files = files
        self.cut: Cut | None = None

    def __iter__(self) -> Iterator[CaptureLine]:
        decoder = msgspec.json.Decoder(CaptureMessage)
        for name in self._files:
            raw_lines = _RawLines(name)
            number = 0
            for raw, whole in raw_lines:
                number += 1
                line, wrong = _parsed(decoder, number, raw)
                if line is None:
                    if number == 1 and whole:
                        raise WrongCapture(f"{name}: line 1: {wrong}; expected 'NANOSECONDS JSON' of a Binance stream")
                    ending = "the file ends inside this line" if not whole else f"damaged: {wrong}"
                    self.cut = Cut(name, number, number - 1, raw_lines.damage or ending)
                    return
                yield line
            if number == 0 and raw_lines.damage is None:
                raise WrongCapture(f"{name}: empty; expected lines 'NANOSECONDS JSON' of a Binance stream")
            if raw_lines.damage is not None:
                self.cut = Cut(name, number + 1, number, raw_lines.damage)
                return


class _RawLines:
    """(line, ended by a newline) of one file. `damage` is set when the gzip stream is broken or cut."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.damage: str | None = None

    def __iter__(self) -> Iterator[tuple[bytes, bool]]:
        rest = b""
        for chunk in self._chunks():
            lines = (rest + chunk).split(b"\n")
            rest = lines.pop()
            if len(rest) > LINE_BYTES_MAX:
                raise WrongCapture(f"{self._name}: a line of more than {LINE_BYTES_MAX} bytes; expected a text capture")
            for line in lines:
                yield line, True
        if rest:
            yield rest, False

    def _chunks(self) -> Iterator[bytes]:
        try:
            with Path(self._name).open("rb") as file:
                first = file.read(CHUNK_BYTES)
                if first[:2] == b"\x1f\x8b":
                    yield from self._inflated(iter([first, *iter(lambda: file.read(CHUNK_BYTES), b"")]))
                    return
                yield first
                yield from iter(lambda: file.read(CHUNK_BYTES), b"")
        except OSError as error:
            raise WrongCapture(f"{self._name}: cannot be read: {error.strerror}") from None

    def _inflated(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        inflate = zlib.decompressobj(wbits=31)
        fresh = False  # a member has ended and no byte of another was seen
        for chunk in chunks:
            data = chunk
            while data:
                try:
                    out = inflate.decompress(data)
                except zlib.error as error:
                    self.damage = f"damaged gzip data ({error})"
                    return
                if out:
                    yield out
                fresh = inflate.eof
                data = inflate.unused_data if fresh else b""
                if fresh:
                    inflate = zlib.decompressobj(wbits=31)
        if not fresh:
            self.damage = "the gzip file is cut here"


def _parsed(decoder: msgspec.json.Decoder[CaptureMessage], number: int, raw: bytes) -> tuple[CaptureLine | None, str]:
    stamp, _, text = raw.partition(b" ")
    if not (stamp.isdigit() and 15 <= len(stamp) <= 19):
        return None, f"found {raw[:40]!r}"
    try:
        message = decoder.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        return None, str(error)
    if not message.stream and message.lastUpdateId is None:
        return None, f"neither a stream frame nor a depth snapshot: {text[:40]!r}"
    return CaptureLine(number, int(stamp), text, message), ""


def probe(settings: ExchangeSettings) -> Listing:
    """What the first lines say about the instrument: symbol, decimals, tick, lot, and which join rule holds. Files after the
    first are only looked into: one that is missing or wrong is better known now than in an hour."""
    for name in settings.captures[1:]:
        next(iter(Capture((name,))), None)
    capture = Capture(settings.captures)
    symbol, market = "", "capture-futures"
    px_texts: set[str] = set()
    qty_texts: set[str] = set()
    seen = 0
    for seen, line in enumerate(capture, start=1):
        message = line.message
        levels = [*message.bids, *message.asks]
        try:
            if "@depth" in message.stream:
                depth = msgspec.json.decode(message.data, type=Depth)
                symbol = symbol or depth.s
                market = "capture-futures" if depth.pu is not None else "capture-spot"
                levels += [*depth.b, *depth.a]
            elif message.stream.endswith("@trade"):
                trade = msgspec.json.decode(message.data, type=Print)
                symbol = symbol or trade.s
                levels.append((trade.p, trade.q))
        except msgspec.DecodeError as error:
            raise WrongCapture(f"{settings.captures[0]}: line {line.number}: {error}; expected a Binance stream") from None
        px_texts.update(px for px, _ in levels)
        qty_texts.update(qty for _, qty in levels)
        if seen == PROBE_LINES:
            break
    if not symbol:
        raise WrongCapture(
            f"{settings.captures[0]}: no depth or trade frame in its first {seen} lines"
            + (f" ({capture.cut})" if capture.cut else "")
        )
    px_exp, tick = _scale(settings.captures[0], px_texts)
    qty_exp, lot = _scale(settings.captures[0], qty_texts)
    kind: MarketKind = "capture-spot" if market == "capture-spot" else "capture-futures"
    return make_listing(settings, symbol=symbol, market=kind, px_exp=px_exp, qty_exp=qty_exp, tick=tick, lot=lot)


def _scale(name: str, texts: set[str]) -> tuple[int, int]:
    """Exponent, and the largest power of ten that divides every mantissa. Padding to 8 decimals (spot) says nothing."""
    written = max((decimals(t) for t in texts), default=0)
    used = max((decimals(t.rstrip("0")) for t in texts if "." in t), default=0)
    places = written if written <= 4 else used
    step = 0
    for text in texts:
        try:
            step = gcd(step, mantissa(text, -places))
        except NotDecimal:
            raise WrongCapture(f"{name}: number {text[:40]!r}: expected plain decimal text") from None
    unit = 1
    while step and step % (unit * 10) == 0 and unit < 10**places:
        unit *= 10
    return -places, unit
