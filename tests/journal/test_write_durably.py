"""A file gets its name when its bytes are on disk, and counts when its name is."""

import os

from journal.segment import write_durably


def test_bytes_then_name_then_folder(tmp_path, monkeypatch):
    """R08: in another order a power loss leaves a file of that name with nothing in it."""
    steps = []
    fsync, replace = os.fsync, os.replace

    def synced(fd):
        if (synced_path := os.readlink(f"/proc/self/fd/{fd}")).startswith(str(tmp_path)):
            steps.append(("sync", synced_path))
        fsync(fd)

    def renamed(source, target):
        steps.append(("name", str(target)))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    path = tmp_path / "app-000000000042.snapshot"
    write_durably(path, b"state")
    assert steps == [("sync", f"{path}.tmp"), ("name", str(path)), ("sync", str(tmp_path))]
    assert path.read_bytes() == b"state"
