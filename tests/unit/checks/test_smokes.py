"""Which smokes are empty: remembered by their text, since one that is cached says nothing again."""

from pathlib import Path

from tests.unit.fleets import fleet, service, unlocked

from slimbake.checks.smokes import known_smokes, note_smokes
from slimbake.host.workspace import Workspace
from slimbake.inside.check.smoke import EMPTY
from slimbake.release.starts import Starts, checks_of

PLAN = unlocked(fleet(service("api", smoke="smoke.py"), service("nlg", smoke="smoke.py"))).plan
SMOKES = [target for target in PLAN.targets if target.kind == "smoke"]
SAYS = f"{EMPTY}smoke.py imports only 0 of 17 modules of the packages of its image"


def test_a_smoke_is_empty_until_one_of_its_text_is_not(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    files = [tmp_path / target.context / "smoke.py" for target in SMOKES]
    for file in files:
        file.parent.mkdir(parents=True)
        file.write_text("def load(): pass")

    def known() -> dict[str, bool | None]:
        return known_smokes(workspace, tmp_path, PLAN.targets)

    assert known() == {"api": None, "nlg": None}
    log = [("api-smoke", "smoke: load passed (0.00 s)"), ("api-smoke", SAYS), ("nlg-smoke", "")]
    note_smokes(workspace, tmp_path, SMOKES, log)
    assert known() == {"api": True, "nlg": False}
    note_smokes(workspace, tmp_path, [], [])  # all from cache
    assert known() == {"api": True, "nlg": False}
    files[0].write_text("import api\ndef load(): pass")
    assert known() == {"api": None, "nlg": False}
    note_smokes(workspace, tmp_path, SMOKES, [("api-smoke", "smoke: load passed (0.00 s)")])
    files[0].write_text("def load(): pass")
    assert known() == {"api": True, "nlg": False}, "this one is cached again"
    note_smokes(workspace, tmp_path, SMOKES, [])
    assert known() == {"api": False, "nlg": False}, "its image has changed"


def test_the_table_says_so() -> None:
    starts = Starts({}, {"api": "start", "nlg": "start"})
    found = checks_of(PLAN, "api", starts, False, {"api-smoke"}, {"api"})
    assert (found.passed, found.ran) == (("start", "smoke: empty"), ("smoke",))
    assert found.missing == ()
    assert checks_of(PLAN, "nlg", starts, False, {"api-smoke"}, {"api"}).passed == (
        "start",
        "smoke",
    )
