"""A strategy that does what its parameters say, when they say it: for tests of the backtest's venue."""

from apps.strategy import MILLISECOND, Strategy, on
from journal.messages import ExecutionReport, TimeInForce, TopOfBook


class Scripted(Strategy):
    # Each step: "MS VERB ARGUMENTS"; MS counts from the first touch. Orders are named by their place in the script.
    steps: tuple[str, ...]

    def start(self) -> None:
        self.begun = False
        self.names: dict[int, int] = {}
        self.heard: list[int] = []

    @on(TopOfBook, wake="touch_changed")
    def touch(self, m: TopOfBook) -> None:
        if self.begun:
            return
        self.begun = True
        self.instrument = m.instrument
        for number, step in enumerate(self.steps):
            self.wake(self.now + int(step.split()[0]) * MILLISECOND, number)

    def on_timer(self, token: int) -> None:
        _, verb, *rest = self.steps[token].split()
        if verb == "cancel":
            self.cancel(self.names[int(rest[0])])
        elif verb == "replace":
            self.replace(self.names[int(rest[0])], qty=int(rest[1]))
        else:
            qty, px, *terms = rest
            tif = TimeInForce[terms[0]] if terms and terms[0] != "POST" else None
            send = self.buy if verb == "buy" else self.sell
            self.names[token] = send(self.instrument, int(qty), int(px), tif=tif, post_only=terms == ["POST"])

    def on_execution_report(self, m: ExecutionReport) -> None:
        self.heard.append(m.exec_type)
