"""Recovery's decision a second time, written from docs/journal-format.md alone: slow, obvious, no kernel in it."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from journal_model import END, crc32c_fast

SEQ_MAX = 2**63 - 2**40


@dataclass
class Decision:
    """What is known after all segments; `actions` has one word a segment, `used` what is put aside of it."""

    last_seq: int = 0
    last_ts: int = 0
    last_crc: int = 0
    epoch: int = 0
    segment: int = 0
    offset: int = 0
    cut_to: int = 0
    durable_seq: int = 0
    prepared: int = 0
    verdict: str = ""
    actions: list[str] = field(default_factory=list)
    used: list[int] = field(default_factory=list)


def used_to(data: bytes, start: int) -> int:
    """Behind the last byte that is not zero; `start` when there is none."""
    return start + len(data[start:].rstrip(b"\0"))


def vouched(
    d: Decision, data: bytes, following: bytes, index: bytes, number: int, stream_id: int
) -> tuple[int, int, int, int, int] | None:
    """Last seq, ts, crc, epoch, and where the end marker stands, of a segment that need not be read; None: it must be."""
    if (
        not valid_block(data, number, stream_id)
        or len(index) < 512
        or crc32c_fast(index[:508]) != int.from_bytes(index[508:512], "little")
    ):
        return None
    magic, format_, *identity = struct.unpack_from("<8sIIQQQ", index)
    first, last, last_ts, crc, epoch, last_at, end_at, schema_crc = struct.unpack_from("<QQ8xqIIIII", index, 40)
    if (magic, format_, identity) != (b"LKSTPIDX", 2, [number, *struct.unpack_from("<QQQ", data, 16)]):
        return None
    if schema_crc != int.from_bytes(data[48:52], "little"):
        return None
    opened, _, prev_ts, prev_crc, open_epoch, _, open_crc = struct.unpack_from("<QQqIIII", data, 512)
    if crc32c_fast(data[:64] + data[512:548]) != open_crc:
        return None
    if (
        not opened == first == d.last_seq + 1
        or (prev_ts, prev_crc) != (d.last_ts, d.last_crc)
        or not first <= last <= d.durable_seq
    ):
        return None
    # The next one is open, and continues that end.
    if struct.unpack_from("<Q", following, 16)[0] != stream_id or struct.unpack_from("<I", following, 40)[0] != number + 1:
        return None
    if crc32c_fast(following[:64] + following[512:548]) != int.from_bytes(following[548:552], "little"):
        return None
    if struct.unpack_from("<Q8xqI", following, 512) != (last + 1, last_ts, crc):
        return None
    # The end stands here.
    if last_at % 8 or not struct.unpack_from("<I", data, 12)[0] <= last_at < end_at <= len(data) - 16:
        return None
    found = Decision(last_seq=last - 1, last_ts=prev_ts)
    offset, ended, found_epoch = follow(found, data[: end_at + 16], number, last_at, open_epoch)
    end = (found.last_seq, found.last_ts, found.last_crc, found_epoch, offset)
    return end if not ended and end == (last, last_ts, crc, epoch, end_at) else None


def valid_header(data: bytes, number: int, stream_id: int) -> bool:
    """The rules under "Valid", for a segment's first blocks."""
    if not valid_block(data, number, stream_id):
        return False
    (frames_at,), (schema_bytes, schema_crc) = struct.unpack_from("<I", data, 12), struct.unpack_from("<II", data, 44)
    text = data[4096 : 4096 + schema_bytes]
    return crc32c_fast(text) == schema_crc and not any(data[4096 + schema_bytes : frames_at])


def valid_block(data: bytes, number: int, stream_id: int) -> bool:
    """Those for its header block alone."""
    if len(data) < 8192 or len(data) % 4096 or data[0:8] != b"LKSTPSEG":
        return False
    format_, frames_at = struct.unpack_from("<II", data, 8)
    stream, _, segment_bytes = struct.unpack_from("<QQQ", data, 16)
    own_number, schema_bytes = struct.unpack_from("<II", data, 40)
    (identity_crc,) = struct.unpack_from("<I", data, 60)
    return (
        format_ == 1
        and crc32c_fast(data[:60]) == identity_crc
        and (stream, segment_bytes, own_number) == (stream_id, len(data), number)
        and frames_at % 4096 == 0
        and 4096 + schema_bytes <= frames_at <= len(data) - 16
        and not any(data[64:512])
        and not any(data[552:4096])
    )


def decide(
    segments: list[bytes],
    stream_id: int,
    schema: bytes,
    control: dict[str, int] | None,
    segment_bytes: int = 0,
    indices: list[bytes | None] | None = None,
) -> Decision:
    """`control`: durable_seq, segment, epoch, perhaps role (0: a writer's); None without a control page. `indices`: index
    files, by which full segments may be passed over; None: they are not asked."""
    words = control or {"durable_seq": 0, "segment": 0, "epoch": 0}
    d = Decision(epoch=words["epoch"], durable_seq=words["durable_seq"])
    ended = invalid = aside = False
    epoch = 0
    if indices is not None and not words.get("role"):
        for data in segments:
            first, durable, *_, open_crc = struct.unpack_from("<QQqIIII", data, 512)
            if crc32c_fast(data[:64] + data[512:548]) == open_crc:
                d.durable_seq = max(d.durable_seq, durable)
    for number, data in enumerate(segments, start=1):
        index = indices[number - 1] if indices else None
        if control is not None and not ended and index is not None and number < len(segments):
            end = vouched(d, data, segments[number], index, number, stream_id)
            if end is not None:
                d.segment, (d.last_seq, d.last_ts, d.last_crc, epoch, d.offset) = number, end
                d.cut_to, d.epoch = d.offset, max(d.epoch, epoch)
                d.actions.append("passed")
                d.used.append(0)
                continue
        if not valid_header(data, number, stream_id):
            invalid = True
            d.actions.append("invalid")
            d.used.append(0)
            continue
        first, durable, prev_ts, prev_crc, open_epoch, _, open_crc = struct.unpack_from("<QQqIIII", data, 512)
        opened = crc32c_fast(data[:64] + data[512:548]) == open_crc
        if opened and not words.get("role"):
            d.durable_seq = max(d.durable_seq, durable)
        (frames_at,) = struct.unpack_from("<I", data, 12)
        if not ended and opened and (first, prev_ts, prev_crc) == (d.last_seq + 1, d.last_ts, d.last_crc):
            d.offset, ended, epoch = follow(d, data, number, frames_at, open_epoch)
            d.segment, d.cut_to = number, used_to(data, d.offset)
            d.epoch = max(d.epoch, epoch)
            d.actions.append("stays")
            d.used.append(0)
            continue
        ended = True
        used = used_to(data, frames_at)
        if used == frames_at:
            used = 4096 if any(data[512:552]) else 0
        d.used.append(used)
        if used:
            aside = True
            d.actions.append("put aside")
        elif number == d.segment + 1 and segment_bytes in (0, len(data)) and data[4096:frames_at].rstrip(b"\0") == schema:
            d.prepared = number
            d.actions.append("reuse")
        else:
            d.actions.append("remove")
    torn = aside or d.cut_to > d.offset
    if invalid:
        d.verdict = "invalid"
    elif words["segment"] > len(segments):
        d.verdict = "missing"
    elif d.last_seq < d.durable_seq:
        d.verdict = "damage"
    elif torn and control is None:
        d.verdict = "unproven"
    elif d.last_seq >= SEQ_MAX:
        d.verdict = "full"
    else:
        d.verdict = "torn" if torn else "clean"
    return d


def follow(d: Decision, data: bytes, number: int, at: int, epoch: int) -> tuple[int, bool, int]:
    """The valid frames of one segment, into d. Where they end, whether the stream ends there, the last epoch."""
    _, nonce = struct.unpack_from("<QQ", data, 16)
    (stream_id,) = struct.unpack_from("<Q", data, 16)
    seed = struct.pack("<QQI", stream_id, nonce, number)

    def crc_of(start: int, length: int, size: int) -> int:
        return crc32c_fast(seed + struct.pack("<I", length) + data[start + 8 : start + size])

    while True:
        length, crc = struct.unpack_from("<II", data, at)
        if length == END:
            (next_seq,) = struct.unpack_from("<Q", data, at + 8)
            return at, not (crc == crc_of(at, END, 16) and next_seq == d.last_seq + 1), epoch
        if length % 8 or not 64 <= length <= 1 << 20 or at + length > len(data) - 16:
            return at, True, epoch
        seq, ts = struct.unpack_from("<Qq", data, at + 16)
        (own_epoch,) = struct.unpack_from("<I", data, at + 56)
        if crc != crc_of(at, length, length) or seq != d.last_seq + 1 or ts <= d.last_ts or own_epoch < epoch:
            return at, True, epoch
        d.last_seq, d.last_ts, d.last_crc, epoch = seq, ts, crc, own_epoch
        at += length
