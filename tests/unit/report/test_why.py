"""Which rule took what a person names: files, folders, modules, names in modules, rules."""

import pytest

from slimbake.inside.ledger import LedgerEntry
from slimbake.report.why import led_on, left_behind, short_answer, why

FOUND = tuple(
    LedgerEntry(path, 1, 0, by, "thing", "1")
    for path, by in (
        ("idna/uts46data.py", "symbols"),
        (
            "transformers/models/gpt2/__init__.py",
            "services.yaml: bases.ml.remove: transformers/models/**",
        ),
        (
            "transformers/models/gpt2/model.py",
            "services.yaml: bases.ml.remove: transformers/models/**",
        ),
    )
)


@pytest.mark.parametrize(
    ("asked", "files"),
    [
        ("idna.uts46data", (0,)),
        ("idna.uts46data.table", (0,)),
        ("idna.core", ()),
        ("symbols", (0,)),
        ("services.yaml: bases.ml.remove: transformers/models/**", (1, 2)),
        ("transformers.models.gpt2.GPT2Model", (1, 2)),
        ("transformers/models", (1, 2)),
        ("transformers.models.bert", ()),
        ("**/model.py", (2,)),
        ("nothing", ()),
    ],
)
def test_what_a_person_names_is_found(asked: str, files: tuple[int, ...]) -> None:
    assert why(FOUND, asked) == tuple(FOUND[number] for number in files)


@pytest.mark.parametrize(
    ("asked", "leads"),
    [
        ("idna.uts46date", "did you mean 'idna.uts46data'?"),
        ("symbol", "did you mean 'symbols'?"),
        ("transformer", "did you mean 'transformers'?"),
        ("api", "'api' is a service: `slimbake why MODULE api`"),
        ("curl", "or no lock brings it: list its package under `requirements`, or under `system`"),
    ],
)
def test_who_asks_for_what_nothing_touched_is_led_on(asked: str, leads: str) -> None:
    assert leads in led_on(FOUND, asked, {"api"})


def test_an_answer_of_several_rules_begins_with_their_sum() -> None:
    def files(by: str, *paths: str) -> set[LedgerEntry]:
        return {LedgerEntry(path, 1, 0, by, "thing", "1") for path in paths}

    entries = {"stubs": files("stubs", "d.pyi"), "sources": files("sources", "a.h", "b.h", "c.h")}
    assert short_answer(entries) == "4 files: 3 sources, 1 stubs"


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        ("readline", "there is no terminal with its terminfo; pdb works"),
        ("curses.panel", "there is no terminal with its terminfo; pdb works"),
        ("venv", "uv installs and builds"),
        ("unittest.mock", ""),
        ("json", ""),
        ("posix", ""),  # a module, and a folder of time zones
        ("numpy.distutils", ""),  # of a package
    ],
)
def test_a_module_that_the_runtime_lacks_has_its_reason(module: str, reason: str) -> None:
    assert left_behind(module) == reason
