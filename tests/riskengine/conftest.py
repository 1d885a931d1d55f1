"""Makes the recording hosts importable by the tests of this folder; one test here runs both machines on one stream."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "oms"))
