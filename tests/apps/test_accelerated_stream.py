"""With the accelerator and without it: the same journal to the byte, and the same state."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from journal.messages import accelerator

HERE = Path(__file__).parent
DAY = """
import hashlib, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from stream import Stream, replay
from journal.messages import LogRecord, TopOfBook
from lockstep.bench.ticker import Ticker

class Talker(Ticker):
    def on_top_of_book(self, m):
        super().on_top_of_book(m)
        if m.bid_px % 7 == 0:
            self.set_timer(self.now + 5_000_000, m.bid_px)

    def on_timer(self, token):
        self.emit(LogRecord(about_seq=self.seq, text="due: " + str(token) * (token % 3)))

folder = Path(sys.argv[1])
stream = Stream(folder)
stream.add("talker", Talker(), 2)
for n in range(2500):
    px = 6_000_000 - n
    stream.input(TopOfBook(instrument=1 + n % 3, bid_px=px, bid_qty=2**40 * (n % 2), ask_px=px + 10, ask_qty=n))
state = stream.group.state_digest().hex()
stream.close()
print(state, replay(folder, ("talker", Talker(), 2))[0].state_digest().hex())
"""


def live(folder: Path, mode: str) -> tuple[list[str], str]:
    """States after the day and after its replay, and what the journal holds."""
    done = subprocess.run(
        [sys.executable, "-c", DAY, str(folder), str(HERE)],
        env=os.environ | {accelerator.VARIABLE: mode}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    held = b"".join(path.read_bytes() for path in sorted(folder.glob("*.seg")))
    return done.stdout.split(), hashlib.blake2b(held).hexdigest()


@pytest.mark.skipif(accelerator.follow is None, reason="the accelerator was not built")
def test_the_journal_does_not_know_of_the_accelerator(tmp_path):
    fast, plain = live(tmp_path / "fast", "on"), live(tmp_path / "plain", "off")
    assert fast == plain
    assert fast[0][0] == fast[0][1]


def test_none_is_used_without_the_one_of_the_journal():
    """Each is optional by itself; the others are written for the journal's decoders in C."""
    code = (
        "import sys; sys.modules['journal.kernel._fast'] = None\n"
        "from apps import app, group, ledger\nfrom sequencer import client\n"
        "print([module._fast for module in (app, group, ledger, client)])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=HERE.parents[1], capture_output=True, text=True)
    assert done.stdout.strip() == "[None, None, None, None]", done.stderr
