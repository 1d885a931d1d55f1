"""J26: a start on a filesystem that cannot sync says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from journal import filesystem
from journal.filesystem import filesystem_of, sync_warning

MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:25 / /dev/shm rw - tmpfs tmpfs rw,size=1g
31 22 0:40 / /srv/layers rw - overlay overlay rw,lowerdir=/a,upperdir=/b
32 31 254:1 / /srv/layers/disk rw - xfs /dev/vdb rw
33 22 0:41 / /srv/with\\040space rw - tmpfs tmpfs rw
34 22 254:2 / /srv/twice rw - ext4 /dev/vdc rw
35 34 0:42 / /srv/twice rw - tmpfs tmpfs rw
no mount at all
"""


@pytest.fixture
def mounts(tmp_path, monkeypatch):
    table = tmp_path / "mountinfo"
    table.write_text(MOUNTS)
    monkeypatch.setattr(filesystem, "MOUNTS", table)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/srv/j", "ext4"),
        ("/dev/shm/j", "tmpfs"),
        ("/dev/shmooze", "ext4"),
        ("/srv/layers/a/b", "overlay"),
        ("/srv/layers/disk/j", "xfs"),
        ("/srv/with space/j", "tmpfs"),
        ("/srv/twice/j", "tmpfs"),
    ],
)
def test_the_innermost_mount_counts(mounts, path, kind):
    assert filesystem_of(Path(path)) == kind
    warning = sync_warning(Path(path))
    assert (warning is None) == (kind in ("ext4", "xfs"))
    if warning is not None:
        assert warning.startswith(f"{path}: {kind} ")
        assert "\n" not in warning


def test_where_nobody_can_tell_nothing_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr(filesystem, "MOUNTS", tmp_path / "none")
    assert sync_warning(tmp_path) is None


def test_this_machines_own(folder):
    """`folder` is on /dev/shm where there is one: then the real table says so too."""
    if folder.is_relative_to("/dev/shm"):
        assert "tmpfs" in (sync_warning(folder) or "")
