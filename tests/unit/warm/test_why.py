"""Which rule took what a person names: files, folders, modules, names in modules, rules."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.fleets import fleet, service

from slimbake.cli.why import short_answer
from slimbake.config.model import BaseEntry
from slimbake.inside.ledger import LedgerEntry
from slimbake.lock.locks import Locks
from slimbake.warm.why import Why, led_on, of_debian, of_own_code, why

FOUND = tuple(
    Why("base", LedgerEntry(path, 1, 0, by, "thing", "1"))
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
        ("pip", "it is not in these images either, so no lock brings it"),
        ("curl", "under `requirements`, or under `system` if it is Debian's"),
        ("json.tool", "it is Python's own"),
    ],
)
def test_who_asks_for_what_nothing_touched_is_led_on(asked: str, leads: str) -> None:
    assert leads in led_on(FOUND, asked, {"api"}, "")


def test_what_an_image_has_untouched_is_said_to_be_there() -> None:
    assert led_on(FOUND, "rich", set(), "api has it on disk") == "api has it on disk"


@pytest.mark.parametrize(
    ("asked", "file"),
    [
        ("shop.web", "apps/api/shop/web.py"),
        ("shop", "apps/api/shop/__init__.py"),
        ("/app/shop/web.py", "apps/api/shop/web.py"),
        ("shop.gone", ""),
    ],
)
def test_a_service_s_own_code_is_in_its_image(tmp_path: Path, asked: str, file: str) -> None:
    for name in ("__init__.py", "web.py"):
        (tmp_path / "apps/api/shop").mkdir(parents=True, exist_ok=True)
        (tmp_path / "apps/api/shop" / name).touch()
    said = of_own_code(tmp_path, {"jobs": "apps/jobs", "api": "apps/api"}, asked)
    assert said.startswith(f"{file} is code of api: its image has that in /app" if file else "")
    assert bool(said) == bool(file)


def test_a_debian_package_is_known_by_the_locks_of_the_services_that_have_it() -> None:
    below = BaseEntry("web", system=("libpq5",))
    made = fleet(service("api", base="web"), service("job", system=("curl",)), bases=(below,))
    rest = f"1.0 amd64 pool/x.deb 1 {'0' * 64}\n"
    locked = {f"{made.bases[0].layer.system_lock}.txt": "libpq5", "job.system.txt": "curl"}
    locks = Locks({file: f"{deb} {rest}" for file, deb in locked.items()})
    both = {"api", "job"}
    assert of_debian(made, locks, both, "curl").endswith("which `system` brings to job")
    assert of_debian(made, locks, both, "libpq5").endswith("which `system` brings to api")
    assert of_debian(made, locks, {"api"}, "curl") == of_debian(made, locks, both, "git") == ""


def test_an_answer_of_several_rules_begins_with_their_sum() -> None:
    entries = {
        ("cold", "base"): dict.fromkeys(("a.py", "b.py", "c.py"), FOUND[0].entry),
        ("cold", "api"): {"c.py": FOUND[0].entry},
        ("stubs", "base"): {"d.so": FOUND[1].entry},
    }
    assert short_answer(entries) == "4 files: 3 cold, 1 stubs"
