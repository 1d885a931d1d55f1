"""What an index says, worked out the slow, obvious way from the bytes of a segment file. Shares nothing with journal.index."""

from __future__ import annotations

import json
import struct
from pathlib import Path

BLOCK = 65536
REJECT, SOURCE_STATE = 30, 11


class Model:
    """Of one full segment."""

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        (at,) = struct.unpack_from("<I", data, 12)
        (schema_bytes,) = struct.unpack_from("<I", data, 44)
        places = {}
        for kind in json.loads(data[4096 : 4096 + schema_bytes])["kinds"]:
            for field in kind["fields"]:
                if field["name"] in ("instrument", "order_id"):
                    code = {"instrument": "<I", "order_id": "<Q"}[field["name"]]
                    places[kind["kind"], field["name"]] = (code, 64 + field["offset"])
        self.frames = []  # (offset, length, kind, source, seq, ts, source_seq, incarnation, instrument, order)
        self.kinds, self.sources = {}, {}
        self.numbers, self.places = {}, {}  # by source: remainder → (source_seq, seq); [(source_seq, offset)]
        self.by_kind, self.by_instrument, self.by_order = {}, {}, {}
        while (length := struct.unpack_from("<I", data, at)[0]) not in (0, 0xFFFFFFFF):
            kind, _, _, source, seq, ts, _, source_seq, _, _, incarnation = struct.unpack_from("<HHHHQqqQQII", data, at + 8)
            frame = data[at : at + length]
            named = []
            for field in ("instrument", "order_id"):
                code, offset = places.get((kind, field), ("<I", length))
                fits = offset + struct.calcsize(code) <= length
                named.append(struct.unpack_from(code, frame, offset)[0] if fits else 0)
            self.frames.append((at, length, kind, source, seq, ts, source_seq, incarnation, *named))
            n, size = self.kinds.get(kind, (0, 0))
            self.kinds[kind] = (n + 1, size + length)
            if source_seq > self.sources.get(source, (0, 0))[0]:
                self.numbers.setdefault(source, {})[source_seq % 64] = source_seq, seq
                own = self.places.setdefault(source, [])
                if not own or source_seq - own[-1][0] >= 64 or at - own[-1][1] >= 65536:
                    own.append((source_seq, at))
            self._number(source, source_seq, incarnation)
            if kind == REJECT and source == 0 and length >= 64 + 56:
                for_source_seq, _, for_source = struct.unpack_from("<QIH", frame, 64)
                self._number(for_source, for_source_seq, 0)
            if kind == SOURCE_STATE and source == 0 and length >= 64 + 56:
                _, attached, of_source = struct.unpack_from("<QIH", frame, 64)
                self._number(of_source, 0, attached)
            for table, key in ((self.by_kind, kind), (self.by_instrument, named[0]), (self.by_order, named[1])):
                if key or table is self.by_kind:
                    table.setdefault(key, set()).add(at // BLOCK)
            at += length
        self.end = at
        self.full = length != 0
        last_block = self.frames[-1][0] // BLOCK
        self.blocks = []
        for block in range(last_block + 1):
            offset, _, _, _, seq, ts, *_ = next(f for f in self.frames if f[0] >= block * BLOCK)
            self.blocks.append((seq, ts, offset))

    def _number(self, source, source_seq, incarnation):
        if source_seq or incarnation:
            old = self.sources.get(source, (0, 0))
            self.sources[source] = (max(old[0], source_seq), max(old[1], incarnation))
