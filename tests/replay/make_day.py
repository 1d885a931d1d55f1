"""Writes the golden day of today's schema: `python tests/replay/make_day.py`. Once for each schema, when that one is new; a day
that exists is never written again, for the point of it is that tomorrow's code decides as yesterday's did."""

import lzma
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from journal.messages.derive import schema_text
from journal.segment import crc32c, segment_files
from lockstep.testing import backtest

DAYS = Path(__file__).resolve().parents[1] / "golden" / "days"


def today() -> Path:
    """Where the day of today's schema lies."""
    return DAYS / f"{crc32c(schema_text()):08x}"


def unpack(day: Path, folder: Path) -> Path:
    """A journal like any other of a golden day."""
    folder.mkdir()
    shutil.copy(day / "control", folder)
    for packed in sorted(day.glob("*.xz")):
        (folder / packed.stem).write_bytes(lzma.decompress(packed.read_bytes()))
    return folder


def main() -> None:
    """Trade it and pack it."""
    today().mkdir()
    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder) / "j"
        backtest(DAYS / "day.toml", journal)
        for _, path in segment_files(journal):
            (today() / f"{path.name}.xz").write_bytes(lzma.compress(path.read_bytes(), preset=9 | lzma.PRESET_EXTREME))
        shutil.copy(journal / "control", today())


if __name__ == "__main__":
    main()
