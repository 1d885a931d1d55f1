"""Deliberate misbehaviour: armed one by one, by the settings or by `admin.fault`, counted down and gone; or drawn by lot.

The lot (`chaos_per_mille`) is seeded, so that a campaign can be repeated; what happens when is still the wall clock's.
"""

from __future__ import annotations

from random import Random

from gateways.sim.exchange.settings import FaultSettings

REQUEST_FAULTS = ("reject", "rate_limit", "lose_request", "lose_answer", "unsure", "unsure_undone", "slow_cancel")
"""Of requests that change something, in this order where several are armed."""
PUSH_FAULTS = ("lose_push", "duplicate_push", "late_push")
CANCEL_ONLY, NOT_OF_CANCELS = ("slow_cancel",), ("reject",)
CANCELS = ("order.cancel", "openOrders.cancelAll")
LATE_MS = 100


class Faults:
    """What is armed. The server asks at each point where it could misbehave."""

    def __init__(self, settings: FaultSettings) -> None:
        self.armed = dict.fromkeys(("gap", *REQUEST_FAULTS, *PUSH_FAULTS), 0)
        self.armed["reject"] = settings.reject_orders
        self.late_ms = dict.fromkeys(("slow_cancel", "late_push"), settings.chaos_ms or LATE_MS)
        self.delay_count = 0
        self.delay_ms = 0
        self.always_delay_ms = settings.delay_answers_ms
        self._settings = settings
        self._lot = Random(f"chaos {settings.chaos_seed}")
        self._frames = 0

    def on_market_frame(self) -> list[str]:
        """Count one market frame; names of the faults that fire behind it."""
        self._frames += 1
        settings, fired = self._settings, []
        for name, after in (
            ("gap", settings.gap_after),
            ("drop_market", settings.drop_connection_after),
            ("garbage", settings.garbage_after),
            ("oversize", settings.oversize_after),
        ):
            if after and after == self._frames:
                fired.append(name)
        return fired

    @property
    def oversize_bytes(self) -> int:
        return self._settings.oversize_bytes

    def take(self, name: str) -> bool:
        """Whether an armed fault fires now."""
        if not self.armed[name]:
            return False
        self.armed[name] -= 1
        return True

    def of_request(self, method: str) -> str:
        """What befalls a request that changes something; empty: nothing."""
        cancel = method in CANCELS
        fitting = [name for name in REQUEST_FAULTS if name not in (NOT_OF_CANCELS if cancel else CANCEL_ONLY)]
        return self._one_of(fitting)

    def of_push(self) -> str:
        """What befalls a push; empty: nothing."""
        return self._one_of(list(PUSH_FAULTS))

    def _one_of(self, fitting: list[str]) -> str:
        for name in fitting:
            if self.take(name):
                return name
        share = self._settings.chaos_per_mille
        return self._lot.choice(fitting) if share and self._lot.randrange(1000) < share else ""

    def take_delay_ms(self) -> int:
        if self.delay_count:
            self.delay_count -= 1
            return self.delay_ms
        return self.always_delay_ms
