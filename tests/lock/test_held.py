"""What sharing a base costs in versions: said, and taken back when the reason is gone."""

from __future__ import annotations

import pytest
from tests.index import Index
from tests.lock.conftest import Repo

LINE = "agents: litellm 1.83, alone 1.108: held back by {0} ({1})\n"  # as the issue words it


@pytest.fixture
def packages(index: Index) -> None:
    for version in ("1.0", "2.0"):
        index.add("openai", version)
    index.add("litellm", "1.83", ["openai<2"])
    index.add("litellm", "1.108", ["openai>=2"])


def test_a_version_that_the_base_costs_is_reported_with_who_holds_it_back(
    repo: Repo, packages: None
) -> None:
    repo.fleet("['openai<2']", agents="[litellm]", other="[]")
    done = repo.run("lock")
    assert done.code == 0 and repo.pins("agents") == ["litellm==1.83"]
    assert LINE.format("base-web", "openai<2") in done.stderr
    assert repo.run("lock").stderr == ""  # nothing is resolved, and nothing said again


def test_a_version_that_is_freed_moves_and_no_other_does(
    repo: Repo, index: Index, packages: None
) -> None:
    index.add("rich", "1")
    repo.fleet("[]", agents="[litellm, rich]", other="['openai<2']")
    done = repo.run("lock")
    assert LINE.format("other", "openai<2") in done.stderr
    index.add("rich", "2")
    repo.fleet("[]", agents="[litellm, rich]")
    assert repo.run("lock").code == 0
    assert repo.pins("agents") == ["litellm==1.108", "openai==2.0", "rich==1"]


def test_a_version_is_freed_when_what_held_it_asks_for_something_else(
    repo: Repo, packages: None
) -> None:
    repo.fleet("['openai<2']", agents="[litellm]")
    repo.run("lock")
    repo.fleet("[openai]", agents="[litellm]")
    done = repo.run("lock")
    assert repo.pins("agents") == ["litellm==1.108"] and "held back" not in done.stderr


def test_a_service_that_gets_a_base_of_its_own_has_its_own_version(
    repo: Repo, packages: None
) -> None:
    repo.fleet("['openai<2']", agents="[litellm]")
    repo.run("lock")
    repo.write(
        "bases: {web: {requirements: ['openai<2']}, new: {}}\n"
        "services: {agents: {base: new, context: agents, requirements: [litellm], start: none}}\n"
    )
    assert repo.run("lock").code == 0
    assert repo.pins("agents") == ["litellm==1.108", "openai==2.0"]


def test_what_an_old_lock_keeps_is_not_said_to_be_held_back(
    repo: Repo, index: Index, packages: None
) -> None:
    repo.fleet("[]", agents="[litellm]", other="[]")
    repo.run("lock")
    index.add("litellm", "1.109", ["openai>=2"])
    index.add("rich", "1")
    repo.fleet("[]", agents="[litellm]", other="[rich]")
    done = repo.run("lock")
    assert "litellm==1.108" in repo.pins("agents") and "held back" not in done.stderr


def test_a_service_whose_own_requirement_is_lower_is_held_back_by_nobody(
    repo: Repo, packages: None
) -> None:
    repo.fleet("[]", agents="['litellm<1.100']", other="[openai]")
    done = repo.run("lock")
    assert done.code == 0
    assert "agents: litellm" not in done.stderr
    assert "other: openai 1.0, alone 2.0: held back by agents (litellm<1.100)" in done.stderr


def pinned(repo: Repo, name: str) -> None:
    """Let a service ask for `openai>=1`, and its lock pin 1.0."""
    (repo.root / name).mkdir(exist_ok=True)
    (repo.root / name / "pyproject.toml").write_text(
        f'[project]\nname = "{name}"\nversion = "1"\ndependencies = ["openai>=1"]\n'
    )
    (repo.root / name / "poetry.lock").write_text('[[package]]\nname = "openai"\nversion = "1.0"\n')


def test_a_lock_that_holds_a_version_of_another_service_is_named(
    repo: Repo, packages: None
) -> None:
    pinned(repo, "web")
    repo.fleet("[]", agents="[openai]", web="pyproject.toml")
    assert (
        "agents: openai 1.0, alone 2.0: held back by web (openai==1.0 of web/poetry.lock)\n"
    ) in repo.run("lock").stderr


def test_what_the_locks_of_its_services_pin_is_no_news_of_a_base_and_is_freed_with_them(
    repo: Repo, packages: None
) -> None:
    pinned(repo, "web")
    repo.fleet("[openai]", web="pyproject.toml", other="[]")
    done = repo.run("lock")
    assert repo.pins("base-web") == ["openai==1.0"] and "held back" not in done.stderr
    repo.fleet("[openai]", other="[]")
    repo.run("lock")
    assert repo.pins("base-web") == ["openai==2.0"]
