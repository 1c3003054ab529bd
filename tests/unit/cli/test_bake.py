"""What `slimbake bake` makes of `--watch`, `--shards` and `--node`, with the builds themselves left
out.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import slimbake.cli.shards as in_shards
from click.testing import CliRunner
from slimbake.build.sharded import Sharded

from slimbake.cli import slimbake
from slimbake.errors import MANIFEST, UsageError

FLEET = """\
project: toy
registry: registry.example.com/toy
python: "3.11"
services:
  api:
    context: api
    command: [python, -m, api]
  jobs:
    context: jobs
    command: [python, -m, jobs]
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "services.yaml").write_text(FLEET)
    for name in ("api", "jobs"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "app.py").write_text("")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (
            ("--shards", "2"),
            "shards share images through a registry",
            "--push, and --registry if the manifest names none",
        ),
        (
            ("--watch", "--node", "a"),
            "--watch builds on one engine",
            "leave out --shards and --node",
        ),
        (
            ("--watch", "--sbom", "out"),
            "--watch writes no SBOMs",
            "leave out --sbom; `slimbake sbom` writes them",
        ),
        (
            ("--shards", "2", "--push", "--provenance", "max"),
            "shards make no SBOM and no provenance",
            "leave out --sbom and --provenance: a bake without shards has them",
        ),
        (
            ("--shards", "2", "--push", "--record", "record.json"),
            "shards do nothing with --record",
            "leave out --record, or --shards and --node",
        ),
        (
            ("--node", "a", "--push", "--missing", "--on", "bases.json"),
            "shards do nothing with --missing and --on",
            "leave out --missing and --on, or --shards and --node",
        ),
    ],
)
def test_what_does_not_go_together_is_told(
    root: Path, words: tuple[str, ...], message: str, hint: str
) -> None:
    done = CliRunner().invoke(slimbake, ["bake", "-f", str(root / "services.yaml"), *words])
    assert isinstance(done.exception, UsageError)
    assert (done.exception.message, done.exception.hint, done.exception.exit_code) == (
        message,
        hint,
        MANIFEST,
    )


@pytest.mark.parametrize(
    ("words", "nodes"),
    [
        (("--shards", "2"), ("", "")),
        (("--shards", "3", "--builder", "kube"), ("kube", "kube", "kube")),
        (("--node", "a", "--node", "b"), ("a", "b")),
        (("--node", "a", "--node", "b", "--shards", "3"), ("a", "b", "a")),
    ],
)
def test_shards_go_round_the_builders_that_are_named(
    root: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], nodes: tuple[str, ...]
) -> None:
    asked: list[Any] = []

    def released(*given: Any) -> tuple[Sharded, ...]:
        asked.append(given)
        image = "registry.example.com/toy/api:1"
        return (
            Sharded(
                name="api", image=image, digest="sha256:" + "a" * 64, shard=2, wave=2, node="a"
            ),
        )

    monkeypatch.setattr(in_shards, "released", released)
    monkeypatch.setattr("slimbake.docker.use_builder", str)
    done = CliRunner().invoke(
        slimbake, ["bake", "api", "-f", str(root / "services.yaml"), "--push", "--tag", "1", *words]
    )
    assert done.exception is None, done.output
    assert asked[0][1] == ("api",)
    assert asked[0][4] == nodes
    assert done.stdout.splitlines()[1].split() == [
        "api",
        "a" * 12,
        "2",
        "2",
        "a",
        "registry.example.com/toy/api:1",
    ]


def test_a_watch_builds_what_an_edit_touches_and_ends_with_130(root: Path) -> None:
    program = """
        import sys
        import slimbake.cli.watch as watch
        from slimbake.cli import main
        watch.release = lambda manifest, services, options, names, say: say(f"built {services} {options.keep_going}")
        watch.print_released = lambda released, as_json: None
        sys.argv = ["slimbake", "bake", "--watch"]
        sys.exit(main())
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=root,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stderr is not None
        try:
            assert process.stderr.readline() == f"building api, jobs; then watching {root}\n"
            assert process.stderr.readline() == "built ('api', 'jobs') True\n"
            (root / "jobs/app.py").write_text("print()")
            assert process.stderr.readline() == "jobs/app.py changed: jobs\n"
            assert process.stderr.readline() == "built ('jobs',) True\n"
            (root / "services.yaml").write_text(FLEET.replace("-m, api", "-m, web"))
            assert process.stderr.readline() == "services.yaml changed: api\n"
            assert process.stderr.readline() == "built ('api',) True\n"
            process.send_signal(signal.SIGINT)
            assert (
                process.stderr.read().strip() == "interrupted: the same command goes on from here"
            )
            assert process.wait() == 130
        finally:
            process.kill()
