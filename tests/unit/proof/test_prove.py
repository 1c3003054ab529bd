"""Which passes are tried together, what is found out about each, and what is kept of trials."""

from __future__ import annotations

import contextlib
import io
import math
import tarfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimbake.catalogue.model import Applied, Pass
from slimbake.console import QUIET, Console
from slimbake.errors import CheckError, SetupError
from slimbake.evidence import committed
from slimbake.evidence.model import Evidence, Finding, Question
from slimbake.host.workspace import Workspace
from slimbake.plan.model import Target
from slimbake.proof import trial, trials
from slimbake.proof.ablation import (
    Candidate,
    Passes,
    Tried,
    Weighed,
    ablated,
    matching_nothing,
    renewed,
)
from slimbake.proof.company import own, saved_beside
from slimbake.proof.layers import ProvenLayer, file_of, unless_it_holds, write_evidence
from slimbake.proof.trial import Outcome, Subject
from slimbake.proof.trials import Kept, key
from slimbake.proof.weigh import weigh


def candidate(name: str, saves: int = 10, files: int = 1, error: str = "") -> Candidate:
    each = Pass(name=name, about="", why="", costs="", remove=(f"{name}/**",))
    saved = {f"{name}/{number}": 0 if number else saves * 2 for number in range(files)}
    return Candidate(each, applied(name), Weighed(saved, saves, error))


def applied(name: str) -> Applied:
    return Applied(name=name, packages=("thing",), remove=(f"{name}/**",))


class Checks:
    """Checks that fail on any set of passes that holds one of these sets; they count what they are
    asked.
    """

    def __init__(self, *bad: Iterable[str]) -> None:
        self.bad = [frozenset(each) for each in bad]
        self.asked: list[tuple[set[str], bool]] = []

    def __call__(
        self, sets: Sequence[tuple[str, Passes]], held_out: bool = False
    ) -> Sequence[Tried]:
        return [
            self._tried(frozenset(each.name for each in passes), held_out) for _, passes in sets
        ]

    def _tried(self, names: frozenset[str], held_out: bool) -> Tried:
        self.asked.append(({*names}, held_out))
        if any(bad <= names for bad in self.bad):
            return Tried("api", "load", f"{', '.join(sorted(names))}: broken")
        return Tried()


def verdicts(found: dict[str, Finding]) -> dict[str, str]:
    return {name: finding.verdict for name, finding in sorted(found.items())}


# --- ablation


def test_what_holds_alone_and_together_is_proven_with_what_it_saves() -> None:
    checks = Checks()
    found = ablated([candidate("a", 5), candidate("b", 7, files=3)], checks)
    assert verdicts(found) == {"a": "proven", "b": "proven"}
    assert (found["b"].files, found["b"].bytes, found["b"].zstd, found["b"].error) == (3, 14, 7, "")
    assert checks.asked == [(set(), True), ({"a"}, False), ({"b"}, False), ({"a", "b"}, True)]


def test_what_fails_alone_is_refuted_with_what_failed_and_keeps_no_other_from_being_proven() -> (
    None
):
    checks = Checks("b")
    found = ablated([candidate("a"), candidate("b"), candidate("c")], checks)
    assert verdicts(found) == {"a": "proven", "b": "refuted", "c": "proven"}
    assert (found["b"].service, found["b"].level, found["b"].error) == ("api", "load", "b: broken")
    assert checks.asked[-1] == ({"a", "c"}, True)


def test_of_two_that_fail_only_together_the_one_that_saves_less_is_refuted_with_why() -> None:
    found = ablated([candidate("a", 5), candidate("b", 50), candidate("c", 20)], Checks("ab"))
    assert verdicts(found) == {"a": "refuted", "b": "proven", "c": "proven"}
    assert (found["a"].service, found["a"].level) == ("api", "load")
    assert found["a"].error == "together with others: a, b, c: broken"


def test_what_matches_nothing_or_saves_nothing_compressed_is_idle_and_never_in_company() -> None:
    checks = Checks()
    found = ablated(
        [candidate("a"), candidate("none", files=0), candidate("bigger", saves=0)], checks
    )
    assert verdicts(found) == {"a": "proven", "bigger": "idle", "none": "idle"}
    assert matching_nothing(found) == ("none",)
    assert [names for names, _ in checks.asked] == [set(), {"a"}, {"bigger"}, {"a"}]


def test_what_breaks_and_saves_nothing_is_refuted_not_idle() -> None:
    assert verdicts(ablated([candidate("a", saves=-1)], Checks("a"))) == {"a": "refuted"}


def test_what_cannot_be_applied_is_refuted_without_being_tried() -> None:
    checks = Checks()
    found = ablated([candidate("a", error="it would remove a licence")], checks)
    assert (found["a"].verdict, found["a"].level, found["a"].error) == (
        "refuted",
        "apply",
        "it would remove a licence",
    )
    assert checks.asked == []


def test_what_fails_without_any_pass_is_no_pass_s_fault() -> None:
    checks = Checks(())
    with pytest.raises(CheckError, match="without any pass failed: api at load") as caught:
        ablated([candidate("a"), candidate("b")], checks)
    assert "`slimbake smoke api`" in caught.value.hint
    assert checks.asked == [(set(), True)]


def test_nothing_to_try_asks_nothing() -> None:
    checks = Checks()
    assert ablated([], checks) == {} and checks.asked == []


def test_those_that_are_known_are_company_and_are_not_tried_again() -> None:
    checks = Checks(("new", "old"))
    found = ablated([candidate("new"), candidate("other")], checks, (applied("old"),))
    assert verdicts(found) == {"new": "refuted", "other": "proven"}
    assert all("old" in names for names, held_out in checks.asked[1:] if held_out)
    assert ({"old"}, False) not in checks.asked


def test_what_was_proven_of_other_packages_is_proven_again_with_what_it_saves_now() -> None:
    found = renewed([candidate("a", 5, files=2), candidate("b", 7)])
    assert verdicts(found) == {"a": "proven", "b": "proven"}
    assert (found["a"].files, found["a"].bytes, found["a"].zstd) == (2, 10, 5)


@pytest.mark.parametrize(
    "candidates",
    [
        pytest.param([candidate("a"), candidate("b", files=0, saves=0)], id="idle"),
        pytest.param([candidate("a", error="a licence")], id="not to be applied"),
        pytest.param([], id="none"),
    ],
)
def test_where_one_saves_nothing_any_more_nothing_is_taken_for_proven_again(
    candidates: list[Candidate],
) -> None:
    assert renewed(candidates) == {}


def test_where_the_known_ones_do_not_hold_themselves_no_new_one_is_blamed() -> None:
    checks = Checks(("old",))
    with pytest.raises(CheckError, match="proven before failed: api at load"):
        ablated([candidate("a"), candidate("b")], checks, (applied("old"),))
    assert len(checks.asked) == 5  # none, each alone, all together, the known ones


class Changing(Checks):
    """Checks that fail once where all are together, and hold from then on."""

    def _tried(self, names: frozenset[str], held_out: bool) -> Tried:
        self.asked.append(({*names}, held_out))
        return Tried("api", "time", "") if names and held_out and len(self.asked) == 2 else Tried()


def test_a_check_that_does_not_always_say_the_same_ends_nothing() -> None:
    checks = Changing()
    found = ablated([candidate("a", saves=0)], checks, (applied("old"),))
    assert verdicts(found) == {"a": "idle"} and len(checks.asked) > 2


NAMES = [chr(ord("a") + number) for number in range(10)]
SAVES = st.dictionaries(st.sampled_from(NAMES), st.integers(1, 99), min_size=1)
PAIRS = st.lists(st.sets(st.sampled_from(NAMES), min_size=1, max_size=2), max_size=5)


@given(SAVES, PAIRS)
def test_exactly_those_are_refuted_that_break_alone_or_with_what_saves_more(
    saves: dict[str, int], bad: list[set[str]]
) -> None:
    checks = Checks(*bad)
    found = ablated([candidate(name, saved) for name, saved in saves.items()], checks)
    kept: set[str] = set()
    for name in sorted(saves, key=lambda name: (-saves[name], name)):
        if not any(each <= kept | {name} for each in checks.bad):
            kept.add(name)
    assert verdicts(found) == {
        name: "proven" if name in kept else "refuted" for name in sorted(saves)
    }
    assert checks.asked.pop(0) == (set(), True)
    alone = sum(not held_out for _, held_out in checks.asked)
    assert alone == len(saves)
    tried = [name for name in saves if frozenset(name) not in checks.bad]
    refuted = len(tried) - len(kept)
    halvings = math.ceil(math.log2(max(2, len(tried))))
    assert len(checks.asked) - alone <= refuted * (1 + halvings) + 1


# --- what a pass alone removes


def finding(verdict: str) -> Finding:
    return Finding(digest="1", verdict=verdict, files=1, bytes=1, zstd=1)  # type: ignore[arg-type]


def test_a_pass_s_own_files_are_those_that_no_other_proven_pass_takes() -> None:
    weighed = {
        "a": Weighed(dict.fromkeys("123", 0), 0),
        "b": Weighed({"2": 0}, 0),
        "refuted": Weighed(dict.fromkeys("123", 0), 0),
    }
    verdicts = {"a": finding("proven"), "b": finding("proven"), "refuted": finding("refuted")}
    question = Question(layer="api", pins=(), inputs="", platform="linux/amd64", checks={})
    evidence = Evidence(
        layer="api", platform="", inputs="", unpruned="", checks={}, passes=verdicts
    )
    layer = ProvenLayer(question, evidence, weighed, frozenset(weighed))
    assert layer.proven == ("a", "b")
    assert own("a", layer, ("a", "b")) == {"1", "3"}
    assert own("b", layer, ("a", "b")) == frozenset()


def test_what_another_pass_does_better_is_not_carried_and_hides_nothing_of_it() -> None:
    weighed = {name: Weighed({"1": 0, "2": 0}, 0) for name in ("strip.debug", "strip.unneeded")}
    verdicts = {name: finding("proven") for name in weighed}
    question = Question(layer="api", pins=(), inputs="", platform="linux/amd64", checks={})
    evidence = Evidence(
        layer="api", platform="", inputs="", unpruned="", checks={}, passes=verdicts
    )
    layer = ProvenLayer(question, evidence, weighed, frozenset(weighed))
    assert own("strip.unneeded", layer, ("strip.unneeded",)) == {"1", "2"}
    assert own("strip.debug", layer, ("strip.unneeded",)) == frozenset()


def test_what_a_pass_saves_beside_others_is_its_own_files() -> None:
    weighed = {"a": Weighed({"1": 5, "2": 7}, 1), "b": Weighed({"2": 7}, 1)}
    layer = replace(layer_of(dict.fromkeys("ab", finding("proven"))), weighed=weighed)
    assert saved_beside(layer, {name: applied(name) for name in "ab"}) == {"a": 5, "b": 0}


def layer_of(found: dict[str, Finding]) -> ProvenLayer:
    question = Question(layer="api", pins=(), inputs="", platform="linux/amd64", checks={})
    evidence = Evidence(layer="api", platform="", inputs="", unpruned="", checks={}, passes=found)
    return ProvenLayer(question, evidence, {}, frozenset(found))


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), CheckError("a smoke failed"), SetupError("no engine")]
)
@pytest.mark.parametrize("before", [{"old": finding("proven")}, None])
def test_evidence_that_images_were_not_built_with_to_the_end_is_put_back_as_it_was(
    error: BaseException, before: dict[str, Finding] | None, tmp_path: Path
) -> None:
    layer = layer_of({"new": finding("proven")})
    if before:
        write_evidence(layer.question, layer_of(before).evidence, tmp_path)
    content = file.read_bytes() if (file := file_of(layer.question, tmp_path)).is_file() else None
    with pytest.raises(type(error)), unless_it_holds([layer.question], tmp_path):
        write_evidence(layer.question, layer.evidence, tmp_path)
        raise error
    assert (file.read_bytes() if file.is_file() else None) == content


def test_evidence_that_held_stays(tmp_path: Path) -> None:
    layer = layer_of({"new": finding("proven")})
    with unless_it_holds([layer.question], tmp_path):
        write_evidence(layer.question, layer.evidence, tmp_path)
    assert (found := committed(tmp_path, layer.question)) and found.passes[
        "new"
    ].verdict == "proven"


# --- what is kept

HELD = Outcome(held=True, level="", error="", levels={"import": 0.5})


def test_an_outcome_is_kept_under_its_key_alone(tmp_path: Path) -> None:
    kept = Kept(Workspace(tmp_path), "trials")
    kept.put("ab12", HELD)
    assert Kept(Workspace(tmp_path), "trials").get("ab12") == HELD
    assert kept.get("ab13") is None
    assert Kept(Workspace(tmp_path), "search").get("ab12") is None


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"1", b"null", b'"x"', b"{}", b'{"held": true, "unknown": 1}', b"\xff"],
)
def test_what_is_no_outcome_is_reported_and_as_if_it_had_never_been_kept(
    content: bytes, tmp_path: Path
) -> None:
    said: list[str] = []
    kept = Kept(Workspace(tmp_path, Console(said.append)), "trials")
    kept.put("ab12", HELD)
    (tmp_path / ".slimbake/trials/ab/ab12.json").write_bytes(content)
    assert kept.get("ab12") is None
    assert said == [".slimbake/trials/ab/ab12.json cannot be read, and is discarded"]
    kept.put("ab12", HELD)
    assert kept.get("ab12") == HELD


@pytest.mark.parametrize("level", ["time", "memory"])
def test_a_trial_that_ran_out_of_something_is_not_kept_since_the_machine_may_have_been_busy(
    level: str, tmp_path: Path
) -> None:
    kept = Kept(Workspace(tmp_path), "trials")
    kept.put("ab12", Outcome(held=False, level=level, error="no end within 300 s", levels={}))
    assert kept.get("ab12") is None


@pytest.fixture
def subject(tmp_path: Path) -> Callable[..., Subject]:
    """An image with a smoke on disk."""
    (tmp_path / "api").mkdir()
    (tmp_path / "api/smoke.py").write_text("def load(): ...\n")
    smoke = Target(
        name="api-smoke",
        kind="smoke",
        service="api",
        context="api",
        dockerfile="",
        recipe=None,
        args=(("SLIMBAKE_SMOKE", "smoke.py"),),
    )
    return lambda image="sha256:1": Subject("api", image, smoke, tmp_path)


@pytest.mark.parametrize("level", ["time", "memory"])
def test_what_ran_out_of_something_is_tried_once_more_with_nothing_beside_it_and_more_memory(
    level: str, subject: Callable[..., Subject], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[int] = []

    def tried(subject: Subject, passes: Passes, *, held_out: bool, memory: int) -> Outcome:
        limits.append(memory)
        scarce = memory == trial.MEMORY and passes
        return Outcome(held=not scarce, level=level if scarce else "", error="", levels={})

    monkeypatch.setattr(trials, "trial", tried)
    monkeypatch.setattr(trials, "most_memory", lambda: 12 * 10**9)
    ask = trials.Trials([subject()], Kept(Workspace(None), "trials"), QUIET)
    assert ask([("none", ()), ("a alone", (applied("a"),))]) == (Tried(), Tried())
    assert sorted(limits) == [trial.MEMORY, trial.MEMORY, 12 * 10**9]


def test_starts_that_would_be_slow_are_refuted_together_as_alone_with_verifies_too(
    subject: Callable[..., Subject], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tried(subject: Subject, passes: Passes, *, held_out: bool, memory: int) -> Outcome:
        return Outcome(held=True, level="", error="", levels={}, compiled=0.04 * len(passes))

    monkeypatch.setattr(trials, "trial", tried)
    ask = trials.Trials([subject()], Kept(Workspace(None), "trials"), QUIET)
    one, both = ask(
        [("a", (applied("a"),)), ("a and b", (applied("a"), applied("b")))], held_out=True
    )
    assert (one.level, both.level) == ("", "startup")


def reported(*members: str) -> bytes:
    """A tar of empty files, as a container writes it, less the two blocks at its end."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name in members:
            tar.addfile(tarfile.TarInfo(name))
    return stream.getvalue()[: 512 * len(members)]


@pytest.mark.parametrize(
    ("stream", "whole"),
    [
        (reported("0/before/a", "end") + bytes(1024), True),
        (reported("0/before/a", "end"), True),
        (reported("0/before/a") + bytes(1024), False),
        (reported("0/before/a"), False),
        (reported("0/before/a") + b"\x01" * 512 + reported("end"), False),
        (b"", False),
    ],
)
def test_what_is_weighed_and_breaks_off_is_an_error_and_never_a_pass_that_does_nothing(
    stream: bytes, whole: bool, subject: Callable[..., Subject], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "streamed", lambda *_: contextlib.nullcontext(io.BytesIO(stream)))
    if whole:
        assert {*weigh(subject(), [applied("a")])[0].files} == {"a"}
    else:
        with pytest.raises(SetupError, match="not reported to the end"):
            weigh(subject(), [applied("a")])


def test_a_trial_is_known_by_what_it_does_and_not_by_how_a_pass_is_called(
    subject: Callable[..., Subject], tmp_path: Path
) -> None:
    first = key(subject().digest, (applied("a"),))
    renamed = Applied(name="other", packages=("thing",), remove=("a/**",))
    assert key(subject().digest, (renamed,)) == first
    others = (
        key(subject().digest, (applied("b"),)),
        key(subject("sha256:2").digest, (applied("a"),)),
        key(subject().digest, ()),
        key(subject().digest, (applied("a"),), "verify"),
    )
    assert len({first, *others}) == 5
    (tmp_path / "api/app.py").write_text("code = 1\n")
    assert key(subject().digest, (applied("a"),)) == first
    (tmp_path / "api/smoke.py").write_text("def load(): raise\n")
    assert key(subject().digest, (applied("a"),)) != first
