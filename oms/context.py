"""What the order manager needs of whoever hosts it. Live, in replay and in a backtest it cannot tell the host apart."""

from __future__ import annotations

from typing import Protocol

from journal.messages import Message


class Context(Protocol):
    """The current frame, and the three things a state machine may ask for."""

    @property
    def now(self) -> int:
        """Timestamp of the current frame, ns."""

    @property
    def seq(self) -> int:
        """Sequence number of the current frame."""

    @property
    def source(self) -> int:
        """Publisher of the current frame."""

    def emit(self, message: Message, flags: int = ...) -> None:
        """Publish, with the frame's flags (LAST when none are given)."""

    def set_timer(self, at: int, token: int) -> None:
        """Call `on_timer(token)` when stream time has reached `at`; the same token again moves it."""

    def cancel_timer(self, token: int) -> None:
        """Forget a timer."""
