"""One consistent look at a journal, as arrays: the frames that were written when it was opened, and none that came later.

A live journal grows while it is read. Every table of one question must end at the same frame, or a join would find an
execution whose order is not there yet; so the last seq is taken once, here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from journal.columns import columns
from journal.frames import Frame, frames, last_seq
from journal.messages import HEADER_BYTES, REGISTRY, Header
from journal.messages.dtypes import HEADER_DTYPE, dtype_of
from journal.messages.schema import Message
from journal.reader import JournalReader
from journal.slices import begins_after

Array = np.ndarray[Any, np.dtype[Any]]
_POLL_FRAMES = 1 << 16
_REF = np.dtype([("offset", "<u4"), ("kind", "<u2"), ("source", "<u2"), ("seq", "<u8"), ("ts", "<i8")])


class GroupRows:
    """The rows of one group over all frames of a kind: `parent` is the index of each row's frame in `Stream.columns`."""

    def __init__(self, parent: Array, row: Array, entries: Array, texts: dict[str, Array]) -> None:
        self.parent = parent
        self.row = row
        self.entries = entries
        self.texts = texts


class Stream:
    """A journal up to `to_seq` (None: its last seq at opening). Columns are gathered once a kind and kept."""

    def __init__(self, path: Path | str, to_seq: int | None = None) -> None:
        self.path = Path(path)
        self.after = begins_after(self.path)
        """Of a slice, the frame it begins after; what stands before it says who is who. 0: a whole journal."""
        self.to_seq = last_seq(self.path) if to_seq is None else to_seq
        self._columns: dict[int, Array] = {}

    def columns(self, cls: type[Message]) -> Array:
        """Header and fixed part of every frame of a kind, one row a frame, in sequence order."""
        found = self._columns.get(cls.KIND)
        if found is None:
            found = self._columns[cls.KIND] = columns(self.path, cls, to_seq=self.to_seq)
        return found

    def frames(self, *classes: type[Message], from_seq: int = 1, to_seq: int | None = None) -> Iterator[Frame]:
        """Decoded frames of some kinds (all when none is named)."""
        end = self.to_seq if to_seq is None else min(to_seq, self.to_seq)
        return frames(self.path, from_seq=from_seq, to_seq=end, kinds=[c.KIND for c in classes] or None)

    def of_order(self, order_id: int, *classes: type[Message]) -> Iterator[Frame]:
        """Decoded frames that name an order (all kinds when none is named). Only blocks with such frames are read."""
        if not 0 < order_id < 2**64:
            return iter(())
        return frames(self.path, to_seq=self.to_seq, orders=[order_id], kinds=[c.KIND for c in classes] or None)

    def frames_at(self, seqs: Iterable[int]) -> dict[int, Frame]:
        """The frames with these seqs, by seq; those the journal does not have are left out. Near ones are read in one pass,
        far ones are looked up."""
        wanted = np.unique(np.array([s for s in seqs if self.after < s <= self.to_seq], "<u8"))
        out: dict[int, Frame] = {}
        if not len(wanted):
            return out
        for near in np.split(wanted, np.flatnonzero(np.diff(wanted) > _POLL_FRAMES) + 1):
            self._collect(near, out)
        return out

    def _collect(self, wanted: Array, out: dict[int, Frame]) -> None:
        end = int(wanted[-1])
        with JournalReader(self.path, from_seq=int(wanted[0]), build_index=True) as reader:
            while reader.next_seq <= end and (batch := reader.poll(_POLL_FRAMES, to_seq=end)) is not None:
                refs = np.frombuffer(batch.refs, _REF)
                for offset in refs["offset"][np.isin(refs["seq"], wanted)].tolist():
                    header = Header.unpack(batch.buffer, offset)
                    out[header.seq] = Frame(header, batch.buffer[offset + HEADER_BYTES : offset + header.length])

    @cached_property
    def headers(self) -> Array:
        """Every frame's header. 64 bytes a frame; gathered a batch at a time, eight words each."""
        parts: list[Array] = [np.empty(0, HEADER_DTYPE)]
        words = np.arange(HEADER_BYTES // 8)
        for batch, at in self._batches(None):
            buffer = np.frombuffer(batch.buffer, "<u8")
            parts.append(buffer[(at >> 3)[:, None] + words].view(HEADER_DTYPE).reshape(-1))
        return np.concatenate(parts)

    def ts_of(self, seqs: Array) -> Array:
        """Sequencer time of each seq; 0 where the seq is 0 or not in the journal."""
        headers = self.headers
        if not len(headers):
            return np.zeros(len(seqs), "<i8")
        at = np.searchsorted(headers["seq"], seqs).clip(0, len(headers) - 1)
        return np.where(headers["seq"][at] == seqs, headers["ts"][at], 0)

    def counts(self) -> dict[str, int]:
        """Frames by kind, most frequent first; a kind that this build does not know goes by its number."""
        kinds, n = np.unique(self.headers["kind"], return_counts=True)
        pairs = [
            (REGISTRY[k].__name__ if k in REGISTRY else f"kind {k}", c) for k, c in zip(kinds.tolist(), n.tolist(), strict=True)
        ]
        return dict(sorted(pairs, key=lambda p: (-p[1], p[0])))

    def variable(self, cls: type[Message], texts: tuple[str, ...], blobs: tuple[str, ...] = ()) -> dict[str, Array]:
        """Texts and byte strings of a kind, as object arrays aligned with `columns(cls)`."""
        rows = self.columns(cls)
        out = {name: np.empty(len(rows), object) for name in (*texts, *blobs)}
        if not out:
            return out
        for name in texts:
            out[name][:] = ""
        spans = [(out[n], rows[f"{n}_at"].tolist(), rows[f"{n}_len"].tolist(), n in texts) for n in (*texts, *blobs)]
        start = 0
        for batch, offsets in self._batches(cls):
            buffer = batch.buffer
            for i, offset in enumerate(offsets.tolist(), start):
                body = offset + HEADER_BYTES
                for values, at, length, is_text in spans:
                    if length[i]:
                        data = bytes(buffer[body + at[i] : body + at[i] + length[i]])
                        values[i] = data.decode("utf-8", "replace") if is_text else data
            start += len(offsets)
        return out

    def group(self, cls: type[Message], name: str) -> GroupRows:
        """All rows of a group of a kind, in order."""
        entry = next(f.entry for f in cls.LAYOUT.fields if f.name == name)
        assert entry is not None
        rows = self.columns(cls)
        at, count, stride = (rows[f"{name}_{part}"] for part in ("at", "count", "stride"))
        dtype = dtype_of(entry)
        text_names = [f.name for f in entry.LAYOUT.fields if f.wire == "text"]
        texts: dict[str, list[str]] = {n: [] for n in text_names}
        parts: list[Array] = [np.empty(0, dtype)]
        start = 0
        for batch, offsets in self._batches(cls):
            spans = zip(
                (offsets + HEADER_BYTES).tolist(),
                at[start : start + len(offsets)].tolist(),
                count[start : start + len(offsets)].tolist(),
                stride[start : start + len(offsets)].tolist(),
                strict=True,
            )
            start += len(offsets)
            for body, first, n, step in spans:
                if not n:
                    continue
                # A newer writer may have appended fields to the row: its stride is longer, its first fields are ours.
                wide = dtype if step == dtype.itemsize else _widened(dtype, step)
                table = np.frombuffer(batch.buffer, wide, n, body + first)
                parts.append(table if wide is dtype else table[list(dtype.names or ())].astype(dtype))
                for text in text_names:
                    for where, length in zip(table[f"{text}_at"].tolist(), table[f"{text}_len"].tolist(), strict=True):
                        texts[text].append(bytes(batch.buffer[body + where : body + where + length]).decode("utf-8", "replace"))
        counts = count.astype("<i8")
        parent = np.repeat(np.arange(len(rows)), counts)
        first_row = np.repeat(np.cumsum(counts) - counts, counts)
        return GroupRows(
            parent,
            np.arange(len(parent)) - first_row,
            np.concatenate(parts),
            {n: _objects(values) for n, values in texts.items()},
        )

    def _batches(self, cls: type[Message] | None) -> Iterator[tuple[Any, Array]]:
        """Batches of one kind (or of all) up to `to_seq`, with the frames' offsets in the batch's buffer."""
        with JournalReader(self.path, kinds=None if cls is None else [cls.KIND], build_index=True) as reader:
            while reader.next_seq <= self.to_seq and (batch := reader.poll(_POLL_FRAMES, to_seq=self.to_seq)) is not None:
                if len(batch):
                    yield batch, np.frombuffer(batch.refs, _REF)["offset"].astype(np.int64)


def _widened(dtype: np.dtype[Any], itemsize: int) -> np.dtype[Any]:
    fields: Any = dtype.fields
    names = list(dtype.names or ())
    return np.dtype(
        {
            "names": names,
            "formats": [fields[n][0] for n in names],
            "offsets": [fields[n][1] for n in names],
            "itemsize": itemsize,
        }
    )


def _objects(values: list[str]) -> Array:
    out = np.empty(len(values), object)
    out[:] = values
    return out
