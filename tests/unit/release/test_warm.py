"""The first bake of a repository: what it traces, which lists it writes, and where it does not."""

import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.machines import ENGINE
from tests.unit.release.played import site

from slimbake.console import Console
from slimbake.errors import CheckError, SlimbakeError
from slimbake.plan.model import Plan
from slimbake.project import load
from slimbake.release import warm
from slimbake.release.bake import BakeResult
from slimbake.release.command import BakeOptions, arguments
from slimbake.release.place import BakeRequest, BuiltImage
from slimbake.release.site import Site
from slimbake.release.warm import first_lists, refreshed, traces
from slimbake.warm import remove_lists
from slimbake.warm.compare import Refreshed, cold_at_start, refreshed_text

MANIFEST = """\
project: x
python: "3.11"
bases:
  web: {requirements: [fastapi]}
services:
  api:
    {context: ., base: web, command: [python, -m, api], port: 80, smoke: s.py, verify: v.py,
     environment: {DATA: "${DATA:-/data}", KEY: "${KEY}"}}
  job: {context: ., base: web, requirements: [six], command: [job, "${HOME}"]}
  bare: {context: ., command: [python, -m, bare]}
"""
LOCK = "# {0}-1-py3-none-any.whl 5\n{0}==1 \\\n    --hash=sha256:" + "0" * 64 + "\n"
USED: dict[str, dict[str, str]] = {
    "api": {"fastapi/__init__.py": "fastapi", "fastapi/cli.py": "fastapi"},
    "job": {"fastapi/__init__.py": "fastapi", "six.py": "six"},
}


@dataclass
class Bakes:
    """Stands for buildx: answers as the program `starts` for each trace that is built."""

    root: Path
    used: dict[str, dict[str, str]] = field(default_factory=lambda: dict(USED))
    # service -> more of its answer
    reported: dict[str, dict[str, Any]] = field(default_factory=dict)
    built: list[str] = field(default_factory=list)
    words: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()  # services that have no trace
    failures: tuple[SlimbakeError, ...] = ()  # of those that are built and checked by themselves

    def __call__(
        self,
        site: Site,
        targets: tuple[str, ...],
        options: BakeOptions,
        *,
        checks: bool,
        plan: Plan | None = None,
    ) -> BakeResult:
        self.built += targets
        if plan is None:
            assert options.keep_going, "all that fails is reported"
            return BakeResult(failures=self.failures)
        targets = tuple(each for each in targets if plan.target(each).service not in self.broken)
        self.words = arguments(plan, targets, site.around, options)
        for name in targets:
            service = plan.target(name).service
            folder = self.root / ".slimbake/traces" / service
            folder.mkdir()
            found = {"modules": self.used[service], "read": [], "seen": True, "fault": ""}
            reported = found | self.reported.get(service, {})
            (folder / "traced.json").write_text(json.dumps(reported))
        return BakeResult(left=targets)


@dataclass
class Fresh:
    """A repository without lists, on an engine."""

    bakes: Bakes
    said: list[str]

    @property
    def site(self) -> Site:
        return site(load(self.bakes.root / "services.yaml"), self.said)

    def first(self, *targets: str, **more: Any) -> Site:
        asked = BakeRequest(targets=targets or ("api", "job", "bare"), registry="x")
        return first_lists(self.site, replace(asked, **more))

    @property
    def lists(self) -> dict[str, list[str]]:
        files = sorted((self.bakes.root / "bake/warm").glob("*.txt"))
        read = {file.stem: file.read_text().splitlines() for file in files}
        return {name: [x for x in lines if x[0] != "#"] for name, lines in read.items()}


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fresh:
    (tmp_path / "services.yaml").write_text(MANIFEST)
    for name in ("s.py", "v.py"):
        (tmp_path / name).touch()
    locks = tmp_path / "bake/locks"
    locks.mkdir(parents=True)
    (locks / "base-web.txt").write_text(LOCK.format("fastapi"))
    (locks / "job.txt").write_text(LOCK.format("six"))
    bakes = Bakes(tmp_path)
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(warm, "bake", bakes)
    monkeypatch.setattr(warm, "still_built", lambda *_: ((), {}))
    monkeypatch.setattr(Site, "stocked", lambda self, *_: self)
    return Fresh(bakes, [])


def test_a_first_bake_lists_what_the_services_of_each_layer_use(fresh: Fresh) -> None:
    after = fresh.first()
    assert fresh.lists == {"base-web": ["fastapi/__init__.py", "fastapi/cli.py"], "job": ["six.py"]}
    assert {*after.project.optimisation.warm} == {"base-web", "job"}
    installs = [t.recipe.install for t in after.plan.targets if t.recipe and t.recipe.install]
    assert [install.warm for install in installs] == [True, True]
    dockerfile = fresh.bakes.root / "bake/dockerfiles/base-web.Dockerfile"
    assert "warm/base-web.txt" in dockerfile.read_text()
    assert any(said.startswith("traced base-web, job in ") for said in fresh.said)


def test_a_second_bake_traces_nothing(fresh: Fresh) -> None:
    fresh.first()
    fresh.bakes.built.clear()
    before = fresh.site
    assert first_lists(before, BakeRequest(targets=("api", "job"), registry="x")) is before
    assert fresh.bakes.built == []


def test_a_new_service_gets_a_list_of_its_own_and_changes_no_other(fresh: Fresh) -> None:
    fresh.first()
    before = fresh.lists
    (fresh.bakes.root / "services.yaml").write_text(
        f"{MANIFEST}  new: {{context: ., base: web, requirements: [idna], command: [new]}}\n"
    )
    (fresh.bakes.root / "bake/locks/new.txt").write_text(LOCK.format("idna"))
    fresh.bakes.used["new"] = {"idna/__init__.py": "idna", "fastapi/new.py": "fastapi"}
    fresh.bakes.built.clear()
    fresh.first("api", "job", "new")
    assert fresh.lists == {**before, "new": ["idna/__init__.py"]}
    assert fresh.bakes.built == ["_trace-new"]


def test_a_layer_of_which_not_all_is_baked_gets_no_list(fresh: Fresh) -> None:
    fresh.first("job")
    assert fresh.lists == {"job": ["six.py"]}
    assert fresh.said[0] == (
        "nothing goes cold on base-web: no warm list, and not all services on it are baked;"
        " `slimbake lock --warm` makes it"
    )


def test_unchanged_images_are_not_traced(fresh: Fresh, monkeypatch: pytest.MonkeyPatch) -> None:
    there = tuple(BuiltImage(name=name) for name in ("api", "job"))
    monkeypatch.setattr(warm, "still_built", lambda *_: (there, {}))
    fresh.first()
    assert (fresh.bakes.built, fresh.lists) == ([], {})


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"frozen": True}, "with --frozen"),
        ({"sets": ("api.args.A=1",)}, "with --set, --platform or ci job --shared"),
        ({"platform": "linux/arm64"}, "with --set, --platform or ci job --shared"),
        ({"missing": True}, "with --missing"),
    ],
)
def test_no_list_is_made_that_nobody_commits(how: dict[str, Any], said: str, fresh: Fresh) -> None:
    fresh.first(**how)
    assert (fresh.bakes.built, fresh.lists) == ([], {})
    assert fresh.said == [
        f"nothing goes cold on base-web, job: no warm list, and none is made {said};"
        " `slimbake lock --warm` makes it"
    ]


def test_no_list_is_made_in_ci_or_remotely(fresh: Fresh, monkeypatch: pytest.MonkeyPatch) -> None:
    remote = replace(fresh.site, engine=replace(ENGINE, builder="remote"))
    first_lists(remote, BakeRequest(targets=("api", "job"), registry="x"))
    monkeypatch.setenv("CI", "true")
    fresh.first()
    assert (fresh.bakes.built, fresh.lists) == ([], {})
    assert [said.partition("made ")[2].partition(";")[0] for said in fresh.said] == [
        "by another builder",
        "in CI",
    ]


@pytest.mark.parametrize("keep_going", [True, False])
def test_what_fails_in_a_trace_alone_stops_nothing(keep_going: bool, fresh: Fresh) -> None:
    """What fails is reported by the bake."""
    fresh.bakes.reported["api"] = {"fault": "its smoke failed"}
    fresh.first(keep_going=keep_going)
    assert fresh.lists == {"job": ["six.py"]}
    assert fresh.bakes.built == ["_trace-api", "_trace-job"]


def test_what_did_not_hold_is_traced_again_and_not_taken_from_the_cache(fresh: Fresh) -> None:
    def cached() -> dict[str, bool]:
        reported = json.loads((fresh.bakes.root / ".slimbake/traces/bake.json").read_text())
        found = {name: each for name, each in reported["target"].items() if "_trace-" in name}
        return {name: not each["no-cache"] for name, each in found.items()}

    fresh.bakes.reported["api"] = {"fault": "its smoke failed"}
    traces(fresh.site, ["api", "job"])
    assert cached() == {"_trace-api": True, "_trace-job": True}
    traces(fresh.site, ["api", "job"])
    assert cached() == {"_trace-api": False, "_trace-job": True}


def test_a_trace_runs_on_images_without_bytecode_and_cold_stores(fresh: Fresh) -> None:
    rules = [{"name": "stubs", "remove": ["**/*.pyi"]}]
    folder = fresh.bakes.root / "bake/dockerfiles/rules"
    folder.mkdir(parents=True, exist_ok=True)
    said = {"layer": "a", "rules": rules, "compile": True, "warm": True}
    (folder / "base-web.json").write_text(json.dumps(said))
    traces(fresh.site, ["api", "job"])
    traced = fresh.bakes.root / ".slimbake/traces"
    reported = json.loads((traced / "bake.json").read_text())["target"]["inside"]
    assert reported == {"contexts": {"rules": ".slimbake/traces/rules"}}
    found = json.loads((traced / "rules/base-web.json").read_text())
    assert found == said | {"compile": False, "warm": False}
    # Of equal packages alone: other files may have the same name, size and time.
    form = r"id=slimbake-bytecode-(\w{16}),target=/inside/bytecode/opt/slimbake "
    texts = [(traced / f"{name}.Dockerfile").read_text() for name in ("api", "job")]
    assert len({re.search(form, text)[1] for text in texts}) == 2  # type: ignore[index]


def test_a_layer_whose_services_run_no_python_gets_no_list(fresh: Fresh) -> None:
    fresh.bakes.reported["job"] = {"seen": False, "modules": {}}
    fresh.first()
    assert fresh.lists == {"base-web": ["fastapi/__init__.py", "fastapi/cli.py"]}


def test_a_layer_that_no_start_needs_goes_cold_and_that_is_said(fresh: Fresh) -> None:
    fresh.bakes.used["job"] = {"fastapi/__init__.py": "fastapi"}
    fresh.first()
    assert fresh.lists["job"] == []
    assert any("job.txt: 0 modules" in said and "all of its modules" in said for said in fresh.said)


def test_a_trace_is_asked_what_the_plan_knows_and_buildx_evaluates_none_of_it(fresh: Fresh) -> None:
    traces(fresh.site, ["api", "job", "bare"])
    assert fresh.bakes.built == ["_trace-api", "_trace-job"], "bare has no packages"
    found = json.loads((fresh.bakes.root / ".slimbake/traces/bake.json").read_text())["target"]
    assert json.loads(found["_trace-api"]["args"]["TRACED"]) == {
        "smoke": True,
        "verify": "v.py",
        "command": ["python", "-m", "api"],
        "fixed": 0,
        "port": 80,
        "environment": {"DATA": "/data"},
    }
    assert "$${HOME}" in found["_trace-job"]["args"]["TRACED"]
    assert found["_trace-api"]["contexts"]["image"] == "target:api"
    words = " ".join(fresh.bakes.words)
    assert "--file docker-bake.hcl --file .slimbake/traces/bake.json" in words
    assert "_trace-api.output=type=local,dest=.slimbake/traces/api" in words
    assert "api.output=type=cacheonly" in words, "nothing is exported for a trace"


def again(fresh: Fresh, *services: str, **more: Any) -> tuple[Refreshed, ...]:
    """`lock --warm` on that repository."""
    return refreshed(fresh.site, services or ("api", "job"), **more)


def test_a_trace_adds_what_a_start_uses_now_and_drops_what_none_uses(fresh: Fresh) -> None:
    fresh.first()
    fresh.bakes.used["api"] = {"fastapi/__init__.py": "fastapi", "fastapi/new.py": "fastapi"}
    checked = again(fresh, write=False)
    assert fresh.lists["base-web"] == ["fastapi/__init__.py", "fastapi/cli.py"]
    found = again(fresh)
    assert found == checked
    assert fresh.lists["base-web"] == ["fastapi/__init__.py", "fastapi/new.py"]
    assert [(each.added, each.gone) for each in found] == [
        (("fastapi/new.py",), ("fastapi/cli.py",)),
        ((), ()),
    ]
    assert cold_at_start(found) == (
        "bake/warm/base-web.txt: a start uses 1: fastapi/new.py from the cold store"
    )
    assert refreshed_text(found).splitlines()[0] == (
        "base-web: 2 modules stay warm; new 1: fastapi/new.py; no longer used 1: fastapi/cli.py"
    )
    assert cold_at_start(again(fresh)) == ""


def test_a_module_whose_source_a_start_reads_no_more_is_not_cold(fresh: Fresh) -> None:
    fresh.bakes.reported["api"] = {"read": ["fastapi/cli.py"]}
    fresh.first()
    assert "fastapi/cli.py source" in fresh.lists["base-web"]
    fresh.bakes.reported.clear()
    web, _ = again(fresh, write=False)
    assert (web.added, web.gone) == ((), ("fastapi/cli.py source",))


def test_a_trace_of_one_service_traces_all_on_its_layers(fresh: Fresh) -> None:
    again(fresh, "api")
    assert fresh.bakes.built == ["_trace-api", "_trace-job"]
    assert fresh.lists == {"base-web": ["fastapi/__init__.py", "fastapi/cli.py"]}


def test_a_trace_writes_no_list_where_a_check_does_not_hold(fresh: Fresh) -> None:
    fresh.bakes.reported["job"] = {"fault": "its smoke failed\nValueError"}
    with pytest.raises(CheckError, match="job: its smoke failed"):
        again(fresh)
    assert fresh.lists == {}


def test_lists_of_layers_that_are_gone_are_removed_with_a_word(fresh: Fresh) -> None:
    fresh.first()
    folder = fresh.bakes.root / "bake/warm"
    (folder / "base-gone.txt").touch()
    remove_lists(fresh.site.project.fleet, Console(fresh.said.append))
    assert {*fresh.lists} == {"base-web", "job"}
    assert "bake/warm/base-gone.txt is removed" in fresh.said[-1]
