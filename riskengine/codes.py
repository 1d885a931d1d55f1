"""The enumerations that decisions are full of, as plain ints: reading a member of an Enum class costs as much as calling a
function, and a decision reads a hundred. To a type checker they are what they were."""

from __future__ import annotations

from enum import IntEnum
from types import SimpleNamespace
from typing import Any, TypeVar

from journal.messages import enums

E = TypeVar("E", bound=IntEnum)


def _plain(members: type[E]) -> type[E]:
    found: Any = SimpleNamespace(**{name: int(member) for name, member in members.__members__.items()})
    return found  # type: ignore[no-any-return]


BookStateCode = _plain(enums.BookStateCode)
CheckResult = _plain(enums.CheckResult)
ContractType = _plain(enums.ContractType)
Decision = _plain(enums.Decision)
ExecType = _plain(enums.ExecType)
GatewayPhase = _plain(enums.GatewayPhase)
InstrumentStatus = _plain(enums.InstrumentStatus)
InstrumentType = _plain(enums.InstrumentType)
LimitAction = _plain(enums.LimitAction)
OrdStatus = _plain(enums.OrdStatus)
OrdType = _plain(enums.OrdType)
QuantityType = _plain(enums.QuantityType)
Reason = _plain(enums.Reason)
RiskCheck = _plain(enums.RiskCheck)
ScopeType = _plain(enums.ScopeType)
Side = _plain(enums.Side)
SourceRole = _plain(enums.SourceRole)
TimeInForce = _plain(enums.TimeInForce)
TradingStatus = _plain(enums.TradingStatus)

CLOSED = frozenset({OrdStatus.FILLED, OrdStatus.CANCELED, OrdStatus.EXPIRED, OrdStatus.DONE_FOR_DAY, OrdStatus.REJECTED})

__all__ = [
    "CLOSED", "BookStateCode", "CheckResult", "ContractType", "Decision", "ExecType", "GatewayPhase", "InstrumentStatus",
    "InstrumentType", "LimitAction", "OrdStatus", "OrdType", "QuantityType", "Reason", "RiskCheck", "ScopeType", "Side",
    "SourceRole", "TimeInForce", "TradingStatus",
]  # fmt: skip
