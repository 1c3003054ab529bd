"""On Windows one line says what is needed: modules that all else imports are not there."""

import subprocess
import sys

import pytest

WINDOWS = """\
import runpy, sys
sys.platform = "win32"
sys.modules |= dict.fromkeys(("fcntl", "grp", "pwd", "resource", "termios"))  # cannot be imported
"""


@pytest.mark.parametrize(
    "begin",
    [
        "from slimbake.__main__ import main; sys.exit(main())",
        "runpy.run_module('slimbake', run_name='__main__')",
    ],
)
def test_one_line_says_that_wsl_is_needed(begin: str) -> None:
    words = [sys.executable, "-c", WINDOWS + begin]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (7, "")
    assert done.stderr == "slimbake: on Windows, install slimbake in WSL 2 and run it there\n"
