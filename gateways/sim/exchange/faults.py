"""Deliberate misbehaviour, armed by the settings or by `admin.fault`; every one counts down and is gone."""

from __future__ import annotations

from gateways.sim.exchange.settings import FaultSettings


class Faults:
    """What is armed. The server asks at each point where it could misbehave."""

    def __init__(self, settings: FaultSettings) -> None:
        self.gap = 0  # depth frames still to swallow
        self.reject = settings.reject_orders
        self.delay_count = 0
        self.delay_ms = 0
        self.always_delay_ms = settings.delay_answers_ms
        self.lose_answer = 0
        self.lose_request = 0
        self._settings = settings
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

    def take_gap(self) -> bool:
        self.gap, fires = _counted(self.gap)
        return fires

    def take_reject(self) -> bool:
        self.reject, fires = _counted(self.reject)
        return fires

    def take_lose_answer(self) -> bool:
        self.lose_answer, fires = _counted(self.lose_answer)
        return fires

    def take_lose_request(self) -> bool:
        self.lose_request, fires = _counted(self.lose_request)
        return fires

    def take_delay_ms(self) -> int:
        self.delay_count, fires = _counted(self.delay_count)
        return self.delay_ms if fires else self.always_delay_ms


def _counted(left: int) -> tuple[int, bool]:
    return (left - 1, True) if left > 0 else (0, False)
