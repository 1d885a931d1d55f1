"""A strategy file of a few lines, for tests that change it and look at what becomes different."""

_TEXT = """
from apps.strategy import Qty, Strategy, on
from journal.messages import NULL, TopOfBook


class NAME(Strategy):
    qty: Qty
    every: int = 40

    def start(self):
        self.seen = 0

    @on(TopOfBook, wake="touch_changed")
    def touch(self, m):
        self.seen += 1
        if self.seen % self.every == 0 and m.bid_px != NULL and m.ask_px != NULL:
            qty = self.refdata.qty(m.instrument, self.qty)
            self.target(m.instrument, 0 if self.position(m.instrument) else qty)
"""


def paced(name: str) -> str:
    """Its text: in and out of a position, each `every` touches."""
    return _TEXT.replace("NAME", name)
