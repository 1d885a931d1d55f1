"""Simulation and import kinds, 900-999; refused in a LIVE session."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from journal.messages import enums as e
from journal.messages.schema import I64, U8, U16, U32, U64, Digest, Entry, Message, Ns, Seq, Ts, entry, message


@entry
class Setting(Entry):
    """One named assumption."""

    key: str = ""
    value: str = ""


@message(900)
class SimulationSettings(Message):
    """The run's assumptions, in the journal."""

    seed: U64 = 0
    feed_latency_ns: Ns = 0
    order_latency_ns: Ns = 0
    latency_source_seq: Seq = 0
    venue: U16 = 0
    fill_model: U16 = 0
    queue_model: U16 = 0
    fee_source: U8 = 0
    settings: Sequence[Setting] = ()


@message(901)
class ImportProvenance(Message):
    """Where imported frames come from, and whose clock their `origin_ts` is."""

    rows: U64 = 0
    skipped: U64 = 0
    first_ts: Ts = 0
    last_ts: Ts = 0
    import_no: U32 = 0
    vendor: U16 = 0
    format: U16 = 0
    time_basis: U8 = 0
    file_digest: Digest = bytes(32)
    name: str = ""


@message(905)
class FaultInjected(Message):
    """The simulated venue's own deed, so that a journal tells a fault that was made from one that was found."""

    order_id: U64 = 0
    detail: I64 = 0
    fault: U16 = 0
    target: U16 = 0
    text: str = ""


@message(906)
class FillDecision(Message):
    """Why a simulated order was or was not filled."""

    order_id: U64 = 0
    queue_ahead_qty: I64 = 0
    draw: U64 = 0
    input_seq: Seq = 0
    model: U16 = 0
    reason: Annotated[U16, e.Reason] = 0


__all__ = ["FaultInjected", "FillDecision", "ImportProvenance", "Setting", "SimulationSettings"]
