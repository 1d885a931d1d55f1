"""journal.messages: every kind of frame body, declared once.

A module per domain; `schema` has the declaration rules, `codec` the bytes, `derive` the C header, numpy dtypes and schema
text, `header` the 64 bytes that open every frame. Kinds are never reused, fields only appended.
"""

from journal.messages.codec import EncodeError, Group, group_bytes
from journal.messages.control import *  # noqa: F403
from journal.messages.control import NO_DIGEST
from journal.messages.enums import *  # noqa: F403
from journal.messages.gateway import *  # noqa: F403
from journal.messages.header import (
    FRAME_BYTES_MAX,
    HEADER,
    HEADER_BYTES,
    OWN_CAUSE,
    SEQUENCER_SOURCE,
    Flag,
    Header,
)
from journal.messages.marketdata import *  # noqa: F403
from journal.messages.operators import *  # noqa: F403
from journal.messages.orders import *  # noqa: F403
from journal.messages.positions import *  # noqa: F403
from journal.messages.reference import *  # noqa: F403
from journal.messages.risk import *  # noqa: F403
from journal.messages.schema import NULL, NULL_I128, REGISTRY, Entry, Message, entry, message
from journal.messages.scopes import Scope
from journal.messages.simulation import *  # noqa: F403
from journal.messages.strategies import *  # noqa: F403
