"""The [gateway.NAME] table of a simulated venue."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec

from gateways.sim.checks import Cap, HardCaps
from gateways.sim.decimals import NotExact, decimal_pair

Milliseconds = Annotated[int, msgspec.Meta(ge=0, le=3_600_000)]
CLIENT_ID_CHARACTERS_MAX = 36
SEQ_DIGITS_MAX = 20


class SimGatewaySettings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Names are those of the stream's definition frames; numbers of orders are decimal text."""

    venue: str
    account: str
    symbols: list[str] = []
    """Instruments of the venue to follow; none named: all that are defined when the gateway starts."""
    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0
    """0: filled in by `lockstep up`, which knows the port its exchange was given."""
    api_key: str = "lockstep"
    api_key_file: str = ""
    """Where the key is kept apart from the configuration; its first line is taken."""
    priority: str = "primary"
    """Among several gateways of one account: orders go by those that are `primary` while any of them is up, in turns."""
    tag: str = ""
    """Begins every client order id, and tells streams on one account apart. Empty: made of the stream's id."""
    raw_market_data: bool = True
    """Record every market frame as received, beside the messages made of it."""
    max_order_qty: str = ""
    """The gateway's own cap per order, in units of the instrument; empty: none."""
    max_order_notional: str = ""
    """The gateway's own cap per order, in quote currency; empty: none. A market order has no price to judge."""
    max_order_age_ms: Milliseconds = 5_000
    """An order whose frame is older than this is not sent any more; 0: whatever its age."""
    answer_within_ms: Annotated[int, msgspec.Meta(ge=100, le=3_600_000)] = 10_000
    """A venue that leaves a request unanswered for longer counts as disconnected."""
    silent_after_ms: Annotated[int, msgspec.Meta(ge=100, le=3_600_000)] = 5_000
    """A book without any update for longer is stale."""
    max_frame_bytes: Annotated[int, msgspec.Meta(ge=65_536, le=64 << 20)] = 16 << 20
    """A longer frame of the venue ends the connection."""

    def __post_init__(self) -> None:
        for field in ("max_order_qty", "max_order_notional"):
            text = getattr(self, field)
            try:
                if text and decimal_pair(text)[0] <= 0:
                    raise NotExact(f"number {text!r}: expected above zero")
            except NotExact as error:
                raise ValueError(f"{field}: {error}") from None
        room = CLIENT_ID_CHARACTERS_MAX - SEQ_DIGITS_MAX
        if len(self.tag) > room or not all(c.isascii() and (c.isalnum() or c in "._:/-") for c in self.tag):
            raise ValueError(f"tag = {self.tag!r}: expected at most {room} characters of A-Z a-z 0-9 . _ : / -")
        if self.tag[-1:].isdigit():
            raise ValueError(f"tag = {self.tag!r}: expected no digit at its end, for a number follows")

    def key(self) -> str:
        """The API key. ValueError names a file that cannot be read."""
        if not self.api_key_file:
            return self.api_key
        try:
            lines = Path(self.api_key_file).read_text(encoding="ascii").split()
        except (OSError, ValueError) as error:
            raise ValueError(f"api_key_file {self.api_key_file}: {error}") from None
        if not lines:
            raise ValueError(f"api_key_file {self.api_key_file}: empty; expected the key in its first line")
        return lines[0]

    def caps(self) -> HardCaps:
        """The hard caps as integers."""
        qty = Cap(*decimal_pair(self.max_order_qty)) if self.max_order_qty else None
        notional = Cap(*decimal_pair(self.max_order_notional)) if self.max_order_notional else None
        return HardCaps(qty, notional, self.max_order_age_ms * 1_000_000)

    def tag_of(self, stream_id: int) -> str:
        """The tag of client order ids: as set, or one that another stream will hardly have."""
        return self.tag or f"L{stream_id & 0xFFFFFFFFFF:010x}-"
