"""Makes the recording hosts importable by the tests of this folder; one test here runs both machines on one stream."""

import sys
from pathlib import Path

import pytest

from tests.apart import state_of

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "oms"))


@pytest.fixture(autouse=True)
def restarts_change_nothing():
    """Whatever a test did: the same stream through a restart in its middle decides the same and ends in the same state."""
    from risk_recorder import RiskRecorder

    RiskRecorder.made.clear()
    yield
    for r in RiskRecorder.made[:3]:
        other = r.replay(restart_at=len(r.stream) // 2)
        assert [m.encode() for m in other.emitted] == [m.encode() for m in r.emitted]
        assert state_of(other.engine) == state_of(r.engine)
        other.engine.check()
    RiskRecorder.made.clear()
