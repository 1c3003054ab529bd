"""How many smokes run at once, in the builder itself."""

from __future__ import annotations

import os
import re
import uuid
from pathlib import Path

import pytest
from tests.engine.conftest import fleet

pytestmark = pytest.mark.slow

SMOKE = """
import time
def load():
    began = time.time()
    time.sleep(2)
    print(f"smoke: span {began} {time.time()}")
"""


def test_no_more_smokes_run_at_once_than_the_machine_bears(tmp_path: Path) -> None:
    most = len(os.sched_getaffinity(0)) + 1
    names = [f"s{number}" for number in range(most + 3)]
    run = uuid.uuid4()  # a builder that has seen these smokes before would not run them again
    files = {"app/app.py": ""} | {f"app/{name}.py": f"{SMOKE}# {name} {run}\n" for name in names}
    services = "".join(
        f"  {name}: {{context: app, command: [python, app.py], smoke: {name}.py}}\n"
        for name in names
    )
    with fleet(tmp_path) as toy:
        toy.write(f"services:\n{services}", files)
        done = toy.slimbake("bake")
    assert done.code == 0, done.stderr
    found = re.findall(r"smoke: span (\S+) (\S+)", done.stderr)
    spans = [(float(began), float(ended)) for began, ended in found]
    assert len(spans) == len(names)
    together = [sum(a <= began < b for a, b in spans) for began, _ in spans]
    assert 1 < max(together) <= most
