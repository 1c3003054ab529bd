"""`bake --watch`, as a person starts it: what an edit touches is built again, until Ctrl-C."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.engine.conftest import Toy
from tests.engine.test_interrupt import interruptible
from tests.engine.toys import BROKEN, SMOKE, dangling, held, write
from tests.patience import wait_for


@contextmanager
def watching(toy: Toy, verb: str = "bake") -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """A watch, and the lines that it says on stderr."""
    with subprocess.Popen(
        [sys.executable, "-m", "slimbake", verb, "--watch"],
        cwd=toy.root,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=interruptible,
    ) as process:
        said: list[str] = []
        stream = process.stderr
        assert stream is not None
        reader = threading.Thread(
            target=lambda: said.extend(line.rstrip("\n") for line in stream), daemon=True
        )
        reader.start()
        try:
            yield process, said
        finally:
            process.kill()
            reader.join()


@pytest.mark.slow
def test_an_edit_builds_what_it_touches_until_ctrl_c(toy: Toy) -> None:
    write(toy, "one", "two")
    one, two = toy.image("one"), toy.image("two")
    with watching(toy) as (process, said):

        def alive() -> bool:
            return process.poll() is None

        wait_for(lambda: held(one) != "" and held(two) != "", "the first bake", alive)
        first, other = held(one), held(two)

        toy.file("one/app.py", f"print('edited')  # {toy.project}\n")
        wait_for(lambda: held(one) != first, "the edit's bake", alive)
        assert "one/app.py changed: one" in said
        assert held(two) == other

        second = held(one)
        toy.file("one/smoke.py", BROKEN)
        wait_for(
            lambda: any("the smoke of one failed" in line for line in said),
            "the smoke's failure",
            alive,
        )
        assert held(one) == second
        toy.file("services.yaml", "services: [\n")
        wait_for(
            lambda: any("problem in services.yaml" in line for line in said),
            "the manifest's fault",
            alive,
        )
        write(toy, "one", "two")
        toy.file("one/app.py", f"print('edited')  # {toy.project}\n")
        toy.file("one/smoke.py", SMOKE + "    assert True\n")
        wait_for(
            lambda: sum("changed: one" in line for line in said) >= 3,
            "the fixed smoke's bake",
            alive,
        )
        assert held(two) == other

        process.send_signal(signal.SIGINT)
        assert process.wait() == 130
    assert dangling(toy) == ""
