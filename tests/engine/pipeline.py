"""Runs the generated workflow as GitHub would: the steps that stand in the YAML, each job on an
engine of its own.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml
from tests.engine.conftest import call
from tests.engine.engines import bring_externals, own_engine, sees_loopback

from slimbake.render.workflow import GITHUB

AT_ONCE = 3  # engines: each waits for its own start and end as long as it works
_BUILT = re.compile(r"^(\S+): .*\(\d+\.\d s\)$", re.MULTILINE)


@dataclass
class Job:
    """A job that ended."""

    name: str
    code: int = 0
    said: str = ""
    wrote: dict[str, str] = field(default_factory=dict)  # its outputs

    @property
    def built(self) -> set[str]:
        """The targets of which a step was run here."""
        return set(_BUILT.findall(self.said))


@dataclass
class Run:
    """A run of the workflow: its jobs in their order."""

    matrix: dict[str, Any] = field(default_factory=dict)
    jobs: list[Job] = field(default_factory=list)

    def built(self, target: str) -> list[str]:
        """The jobs that built a target."""
        return [job.name for job in self.jobs if target in job.built]

    @property
    def services(self) -> list[str]:
        """What wave 2 is for."""
        return [job["name"] for job in self.matrix["services"]]

    @property
    def code(self) -> int:
        return max(job.code for job in self.jobs)


class Pipeline:
    """A repository with a workflow, and what outlives its runs: the registry and the cache of small
    files.
    """

    def __init__(self, repository: Path, registry: str, folder: Path) -> None:
        """`folder`: for what runs leave behind."""
        self.repository, self.registry, self.known = repository, registry, folder / "known.json"
        self._folder = folder
        self._runs = 0
        shims = folder / "bin"
        shims.mkdir(parents=True)
        (shims / "slimbake").write_text(f'#!/bin/bash\nexec {sys.executable} -m slimbake "$@"\n')
        (shims / "slimbake").chmod(0o755)
        self.path = f"{shims}:{os.environ['PATH']}"

    def push(self, tag: str, until: str = "summary") -> Run:
        """Run what a push to main runs, up to a job; the images are called by this tag."""
        self._runs += 1
        found = yaml.safe_load((self.repository / GITHUB).read_text("utf-8"))
        runner = _Runner(self, found, tag, self._folder / f"run-{self._runs}")
        run = Run()
        run.jobs.append(runner.job("plan", {}, engine=True))
        if run.code:
            return run
        run.matrix = json.loads(run.jobs[0].wrote["matrix"])
        for name in ("shared", "services", "tag", "summary"):
            # the jobs of a wave know nothing of each other
            with ThreadPoolExecutor(AT_ONCE) as pool:
                jobs = [
                    pool.submit(runner.job, name, each, name != "summary")
                    for each in self._instances(name, run)
                ]
                run.jobs += [job.result() for job in jobs]
            if name == until:
                break
        return run

    @staticmethod
    def _instances(name: str, run: Run) -> list[dict[str, str]]:
        """The values of `matrix` of each instance of a job; none where its guard lets none begin."""
        if name in ("tag", "summary"):
            return [{}]
        bad = any(job.code for job in run.jobs if job.name.startswith("shared"))
        return [] if name == "services" and bad else list(run.matrix[name])


class _Runner:
    """The jobs of one run; artifacts are folders."""

    def __init__(self, pipeline: Pipeline, found: dict[str, Any], tag: str, folder: Path) -> None:
        self._pipeline, self._found, self._tag, self._folder = pipeline, found, tag, folder
        self._artifacts = folder / "artifacts"

    def job(self, name: str, matrix: Mapping[str, str], engine: bool) -> Job:
        """Run a job in a clone of its own, on an engine that holds nothing but the images from
        outside.
        """
        about = self._found["jobs"][name]
        done = Job(" ".join(filter(None, (name, matrix.get("id") or matrix.get("lane", "")))))
        place = self._folder / done.name.replace(" ", "-")
        temp = place / "temp"
        temp.mkdir(parents=True)
        checkout = place / "checkout"
        subprocess.run(["git", "clone", "--quiet", self._pipeline.repository, checkout], check=True)
        fixed = {**self._found["env"], **about.get("env", {})}
        with ExitStack() as undo:
            host = undo.enter_context(self._engine(checkout)) if engine else ""
            env = {
                "PATH": self._pipeline.path,
                "RUNNER_TEMP": str(temp),
                "GITHUB_STEP_SUMMARY": str(self._folder / "summary.md"),
            }
            env |= {"DOCKER_HOST": host} if host else {}
            for step in about["steps"]:
                if step.get("uses", "").startswith("./"):
                    continue  # the slimbake under test is there; tests/release installs it so
                if "run" not in step:
                    self._action(step, checkout, temp, matrix)
                elif not done.code:  # as on GitHub, what follows a failure is skipped
                    self._step(
                        step,
                        done,
                        checkout,
                        {**env, **self._filled({**fixed, **step.get("env", {})}, matrix)},
                    )
        return done

    @contextmanager
    def _engine(self, checkout: Path) -> Iterator[str]:
        """An engine that reaches the registry under the name that it has here."""
        with (
            own_engine(in_memory=True) as own,
            sees_loopback(own, int(self._pipeline.registry.rpartition(":")[2])),
        ):
            bring_externals(checkout / "services.yaml", own.host)
            yield own.host

    def _step(
        self, step: Mapping[str, Any], done: Job, checkout: Path, env: Mapping[str, str]
    ) -> None:
        output = checkout.parent / "output"
        output.write_text("")
        ended = call(
            "bash", "-e", "-c", step["run"], cwd=checkout, env={**env, "GITHUB_OUTPUT": str(output)}
        )
        done.code = ended.code
        done.said += ended.stdout + ended.stderr
        for line in output.read_text("utf-8").splitlines():
            key, _, value = line.partition("=")
            done.wrote[key] = value

    def _action(
        self, step: Mapping[str, Any], checkout: Path, temp: Path, matrix: Mapping[str, str]
    ) -> None:
        """Do what an action does here; what sets up a runner or logs in is not needed."""
        given = self._filled(step.get("with", {}), matrix)
        known = checkout / ".slimbake/known.json"
        match step["uses"].partition("@")[0]:
            case "actions/upload-artifact":
                source = checkout / given["path"].replace("${{ runner.temp }}", str(temp))
                to = self._artifacts / given["name"]
                for file in source.iterdir() if source.is_dir() else [source]:
                    if file.is_file():
                        to.mkdir(parents=True, exist_ok=True)
                        shutil.copy(file, to)
            case "actions/download-artifact":
                to = checkout / given["path"].replace("${{ runner.temp }}", str(temp))
                name = given.get("name") or given["pattern"]
                for folder in sorted(self._artifacts.iterdir()):
                    if fnmatchcase(folder.name, name):
                        shutil.copytree(folder, to, dirs_exist_ok=True)
            case "actions/cache/restore" if self._pipeline.known.is_file():
                known.parent.mkdir(exist_ok=True)
                shutil.copy(self._pipeline.known, known)
            case "actions/cache/save":
                shutil.copy(known, self._pipeline.known)

    def _filled(self, values: Mapping[str, Any], matrix: Mapping[str, str]) -> dict[str, str]:
        """Values with the expressions filled in that a push to main has an answer to."""
        found = {}
        for key, value in values.items():
            text = re.sub(r"\$\{\{ matrix\.(\w+) \}\}", lambda match: matrix[match[1]], str(value))
            if key == "TAG":
                text = self._tag
            elif text == "${{ toJSON(matrix) }}":
                text = json.dumps(matrix)
            elif text.startswith("${{ github.event.pull_request.base.sha"):
                text = ""
            found[key] = text
        return found
