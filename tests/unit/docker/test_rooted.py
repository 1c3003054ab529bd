"""Where a program runs whose machine is a chroot."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from slimbake.docker import rooted

# What comes into a mount namespace from outside, as `docker exec` does, is at the namespace's root.
ENTER = "nsenter --mount=/proc/self/ns/mnt test -e /mnt/of-the-chroot"


def may_mount() -> bool:
    """Whether this process may change mounts: root may, but not in every container."""
    return subprocess.run(("unshare", "--mount", "true"), check=False).returncode == 0


@pytest.mark.skipif(not may_mount(), reason="this process may not change mounts")
@pytest.mark.parametrize(("through", "found"), [(True, 0), (False, 1)])
def test_who_enters_the_namespace_of_a_chroot_is_in_the_chroot(
    tmp_path: Path, through: bool, found: int
) -> None:
    view = tmp_path / "view"
    view.mkdir()
    start = f"{sys.executable} -I {rooted.__file__} " if through else ""
    script = f"""
        mount --rbind / {view}
        mount -t tmpfs none {view}/mnt
        touch {view}/mnt/of-the-chroot
        chroot {view} {start}/bin/sh -c '{ENTER}'
    """
    words = ("unshare", "--mount", "--propagation=private", "sh", "-euc", script)
    assert subprocess.run(words, check=False).returncode == found


def test_a_program_runs_where_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    subprocess.run(
        (sys.executable, "-I", rooted.__file__, "/bin/sh", "-c", "pwd"), check=True, cwd="/usr"
    )
    assert capfd.readouterr() == ("/usr\n", "")
