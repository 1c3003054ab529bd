"""Evidence that a change touches is found out again, all of it; of the rest a sample."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.evidence.test_evidence import EVIDENCE, FINDING, HEADERS, QUESTION

from slimbake.catalogue.model import Pass
from slimbake.config.model import Optimize
from slimbake.config.naming import EVIDENCE as FOLDER
from slimbake.evidence.model import changed
from slimbake.evidence.selection import LayerAnswer
from slimbake.host.git import GitRepository
from slimbake.proof.sample import draw, new_findings

OTHERS = tuple(
    Pass(name=f"torch.{at}", about="", why="", costs="", remove=(f"torch/{at}/**",))
    for at in range(9)
)
PASSES = (HEADERS, *OTHERS)
BEFORE = replace(
    EVIDENCE, passes={each.name: replace(FINDING, digest=each.digest) for each in PASSES}
)
FORGED = replace(
    BEFORE, passes={**BEFORE.passes, "torch.3": replace(BEFORE.passes["torch.3"], bytes=999)}
)


def answer(evidence: object) -> LayerAnswer:
    return LayerAnswer(QUESTION, Optimize(), evidence)  # type: ignore[arg-type]


@pytest.fixture
def git(tmp_path: Path) -> tuple[GitRepository, str]:
    """A repository, below the top of its checkout, whose commit holds evidence."""
    root = tmp_path / "below"
    file = root / FOLDER / "base-ml.json"
    file.parent.mkdir(parents=True)
    file.write_text(BEFORE.text())
    run = ("git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@example.com")
    for words in (("init", "--quiet"), ("add", "."), ("commit", "--quiet", "-m", "x")):
        subprocess.run((*run, *words), check=True)
    found = GitRepository(root)
    return found, found.fork("HEAD", "HEAD")


def test_what_a_commit_did_not_say_is_new_and_all_of_it_is_drawn(
    git: tuple[GitRepository, str],
) -> None:
    repository, commit = git
    answers = [answer(FORGED)]
    new = new_findings(answers, lambda path: repository.text(commit, path))
    assert new == {"base-ml": {"torch.3"}}
    for seed in range(20):
        names = [each.each.name for each in draw(answers, PASSES, 2, seed, new)]
        assert names[0] == "torch.3" and len({*names}) == 3
    assert [each.each.name for each in draw(answers, PASSES, 0, 1, new)] == ["torch.3"]


def test_evidence_that_no_commit_had_is_new_as_a_whole(git: tuple[GitRepository, str]) -> None:
    repository, commit = git
    other = replace(QUESTION, layer="base-web")
    answers = [LayerAnswer(other, Optimize(), replace(BEFORE, layer="base-web"))]
    new = new_findings(answers, lambda path: repository.text(commit, path))
    assert new == {"base-web": {each.name for each in PASSES}}


def test_what_was_found_of_other_inputs_or_checks_is_new_as_a_whole() -> None:
    every = {each.name for each in PASSES}
    assert changed(BEFORE, BEFORE) == frozenset()
    assert changed(replace(BEFORE, inputs="sha256:9"), BEFORE) == every
    assert changed(replace(BEFORE, checks={"api": "sha256:9"}), BEFORE) == every
    assert changed(replace(BEFORE, unpruned="sha256:9"), BEFORE) == every
