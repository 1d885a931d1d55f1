"""What a shut gate (kind 406) is refused with: the one reading of its causes, for risk engine and order manager."""

from __future__ import annotations

from journal.messages.enums import GateCause, Reason

_NARROWER: tuple[tuple[GateCause, Reason], ...] = (
    (GateCause.HALTED | GateCause.DIFFERENCES, Reason.GATE_SHUT),
    (GateCause.RECONCILING, Reason.RECONCILING),
    (GateCause.UNKNOWN_ORDERS, Reason.UNKNOWN_ORDERS_PENDING),
)
"""The first of these gives the reason; of all other causes it is GATE_SHUT."""


def barred_by(causes: int) -> int:
    """Why nothing new passes; 0 where nothing or only a kill keeps it: kills are judged by themselves, and what one of them
    wants flattened passes."""
    others = causes & ~int(GateCause.KILL)
    return next((reason for cause, reason in _NARROWER if others & cause), Reason.GATE_SHUT if others else 0)


__all__ = ["barred_by"]
