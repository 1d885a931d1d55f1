"""A strategy whose heartbeat stops, in a backtest: paused, its order canceled by risk's own word, and the same in a replay."""

from journal.messages import AbsenceAction, OrdStatus, Reason
from lockstep.testing import backtest
from replay.player import verify
from tests.end_to_end.system import configuration_text

STRATEGY = '''
from apps.strategy import SECOND, Strategy, on
from journal.messages import TopOfBook


class Beating(Strategy):
    """Beats for five seconds; rests an order far away, and asks for another one each second."""

    def start(self):
        self.first = 0

    @on(TopOfBook)
    def touch(self, m):
        if not self.first:
            self.first = self.now
            self.wake(self.now, 1)

    def on_timer(self, token):
        if self.now < self.first + 5 * SECOND:
            self.heartbeat()
        self.buy(1, 10, 100_000)
        self.wake(self.now + SECOND, 1)
'''


def test_silence_pauses_and_cancels(tmp_path):
    (tmp_path / "beating.py").write_text(STRATEGY)
    config = tmp_path / "c.toml"
    changes = {
        "strategy": {"beating": {"class": "beating.py:Beating", "account": "demo"}}, "risk": {}, "backtest__duration": "15s",
        "watch": {"own": {"who": "beating", "interval": "1s", "alert": 2, "pause": 3, "cancel_all": 4}},
    }  # fmt: skip
    config.write_text(configuration_text(tmp_path / "day", **changes))
    run = backtest(config, tmp_path / "bt")
    lost = run.frames("HeartbeatLost")
    assert [f.message.action for f in lost] == [AbsenceAction.ALERT, AbsenceAction.PAUSE, AbsenceAction.CANCEL_ALL]
    paused = lost[1].header.seq
    refused = [f for f in run.frames("ExecutionReport") if f.message.reason == Reason.DEAD_MAN_EXPIRED]
    assert refused
    assert all(f.header.seq > paused for f in refused)
    assert run.count("CancelAll") == 1
    last = {f.message.order_id: f.message for f in run.frames("ExecutionReport")}
    canceled = [m for m in last.values() if m.ord_status == OrdStatus.CANCELED]
    assert canceled
    assert {m.reason for m in canceled} == {Reason.DEAD_MAN_EXPIRED}
    assert not [o for o, status in last.items() if status == OrdStatus.NEW]
    assert verify(tmp_path / "bt").identical
