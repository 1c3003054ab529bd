"""The scripts of the generated workflow, run in their order on a real engine with a registry on loopback."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import yaml
from tests.engine.conftest import Toy, docker, fetch

from slimbake.engine import Engine, find
from slimbake.externals import resolve
from slimbake.machine import machine
from slimbake.manifest.model import External
from slimbake.render.workflow import PATH

PYTHON = External("python", "python:3.11-slim-trixie")


class Jobs:
    """The workflow of a fleet, whose expressions are filled in by the tests as GitHub would."""

    def __init__(self, root: Path, given: dict[str, str]) -> None:
        self.root = root
        self.given = given
        self.found: dict[str, Any] = yaml.safe_load((root / PATH).read_text("utf-8"))

    def run(self, job: str, step: str, **values: str) -> tuple[int, str]:
        """Exit code of a step, and what it gave to the next jobs."""
        about = self.found["jobs"][job]
        step_ = next(each for each in about["steps"] if each.get("name") == step)
        said = {**self.found["env"], **about.get("env", {}), **step_.get("env", {})}
        fixed = {key: value for key, value in said.items() if "${{" not in value}
        output = self.root / "output"
        output.write_text("")
        env = {
            **os.environ,
            **fixed,
            "TAG": "abc",
            "GITHUB_OUTPUT": str(output),
            "RUNNER_TEMP": str(self.root),
            **self.given,
            **values,
        }
        code = subprocess.run(["bash", "-e", "-c", step_["run"]], cwd=self.root, env=env, check=False).returncode
        return code, output.read_text().partition("=")[2].strip()

    def service(self, name: str, digests: dict[str, str]) -> list[int]:
        """Exit codes of the two steps of a service's job; as on GitHub, the second follows only on success."""
        values = {"SERVICE": name, "BASE": f"runtime@{digests['runtime']}", "RUNTIME": f"runtime@{digests['runtime']}"}
        code, _ = self.run(
            "services", "Build the image on the pushed base and run its smoke", CHECK=f"{name}-smoke", **values
        )
        return [code] if code else [code, self.run("services", "Push what was checked", **values)[0]]


def layers(reference: str) -> list[str]:
    """The uncompressed layers of an image that the engine holds."""
    return list(json.loads(docker("image", "inspect", "--format", "{{json .RootFS.Layers}}", reference)))


def test_services_stand_on_the_pushed_runtime_and_only_what_holds_is_pushed(toy: Toy, registry: str) -> None:
    engine = find()
    assert isinstance(engine, Engine)
    python = resolve((PYTHON,), "3.11", engine, machine(), print)["python"].context.removeprefix("docker-image://")
    where = f"{registry}/{toy.project}"
    toy.write(f"registry: {where}\nexternals: {{python: {{image: '{python}'}}}}\nservices: {{}}\n")
    for name in ("good", "bad"):
        assert toy.slimbake("add", name).code == 0
    toy.file("services/bad/smoke.py", "def load() -> None:\n    raise AssertionError('broken')\n")
    assert toy.slimbake("generate").code == 0
    # An engine with the older image store cannot export caches.
    caches = engine.store == "containerd" or engine.builder != "docker"
    jobs = Jobs(toy.root, {} if caches else {"CACHE_TO": ""})
    pushed = ["abc", "buildcache"] if caches else ["abc"]

    def tags(image: str) -> list[str]:
        status, text = fetch(f"http://{registry}/v2/{toy.project}/{image}/tags/list")
        return sorted(json.loads(text)["tags"]) if status == 200 else []

    try:
        code, said = jobs.run("bases", "Build and push the bases", BASES="runtime")
        assert code == 0
        digests = json.loads(said)
        assert tags("runtime") == pushed

        assert jobs.service("good", digests) == [0, 0]
        assert tags("good") == pushed
        runtime = layers(f"{where}/runtime@{digests['runtime']}")
        assert layers(f"{where}/good:abc")[: len(runtime)] == runtime

        [failed] = jobs.service("bad", digests)
        assert failed != 0
        assert tags("bad") == []
    finally:
        left = docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "--filter", f"reference={where}/*")
        if left:
            docker("image", "rm", *left.split())
