"""A search with an oracle of the test's own: what is traced, asked and proposed."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from slimbake.catalogue.model import Applied, Pass
from slimbake.errors import CheckError
from slimbake.host.workspace import Workspace
from slimbake.inside.globs import matcher
from slimbake.proof import units
from slimbake.proof.oracle import Start, Tally, Used
from slimbake.proof.propose import Proposal, SearchedLayer, catalogue_text, catalogue_with, entry
from slimbake.proof.search import Options, search
from slimbake.proof.trial import Outcome
from slimbake.proof.trials import Kept, key

File = tuple[str, int, str, str]


@dataclass
class Subject:
    service: str


@dataclass
class Images:
    """Stands for the oracle: an image in which some files are opened, and some of these are needed."""

    files: Sequence[File]
    needed: frozenset[str]
    opened: frozenset[str]
    started: frozenset[str] = frozenset()  # what the command uses
    served: bool = True
    talks: bool = False  # whether it names what it misses, one at a time
    asked: int = 0
    untraced: str = ""  # why its command cannot be traced
    looked: int = 0  # times that it was
    warned: list[str] = field(default_factory=list)
    subjects: tuple[Subject, ...] = (Subject("one"),)
    tally: Tally = field(default_factory=Tally)

    def left(self, passes: Iterable[Applied]) -> set[str]:
        names = {name for name, *_ in self.files}
        for each in passes:
            removes, keeps = matcher(each.remove), matcher(each.keep)
            for name, _, package, _ in self.files:
                concerned = package in each.packages
                if concerned and (package in each.drop or (removes(name) and not keeps(name))):
                    names.discard(name)
        return names

    def holds(
        self, questions: Sequence[Sequence[Applied]], subjects: Sequence[Subject] = ()
    ) -> list[bool]:
        self.asked += len(questions)
        return [self.needed <= self.left(passes) for passes in questions]

    def traced(
        self, passes: Sequence[Applied], starts: Mapping[str, Start] | None = None
    ) -> dict[str, Used]:
        left = self.left(passes)
        self.looked += starts is not None
        if starts and self.untraced:
            return {"one": Used(False, tuple(self.files), {}, {}, "", self.untraced)}
        names = self.started if starts else self.opened
        held = self.served or not passes if starts else self.needed <= left
        said = "".join(
            f"OSError: no file at /opt/site-packages/{name}.\n"
            for name in sorted(self.needed - left)[:1]
        )
        said = said if self.talks and not held else ""
        return {"one": Used(held, tuple(self.files), dict.fromkeys(names & left, "open"), {}, said)}


def files(*names: str, package: str = "many", size: int = 10_000) -> list[File]:
    return [(name, size, package, "1.2") for name in names]


LAYER = SearchedLayer("base-ml", ("many", "other"))
STARTS = {"one": Start(("python", "-m", "app"), 80)}


def found(images: Images, options: Options | None = None) -> dict[str, Pass]:
    oracle: Any = images
    made = search(
        oracle, (LAYER,), STARTS, options or Options(least=1), lambda _: None, images.warned.append
    )
    return {each.proposed.name: each.proposed for each in made.proposals}


PARTS = [f"many/models/{name}/modeling.py" for name in "abcdefghij"]


def test_what_nothing_opens_goes_at_once() -> None:
    images = Images(
        files("many/a.py", "many/b.py", "many/c/d.py"),
        frozenset({"many/a.py"}),
        frozenset({"many/a.py"}),
    )
    (found_pass,) = found(images).values()
    assert found_pass.remove == ("many/b.py", "many/c/**")
    assert found_pass.packages == (("many", "==1.2"),)


def test_what_is_only_looked_at_is_found_by_asking() -> None:
    listed = files(
        "many/a.py", *(f"many/bin/{name}" for name in ("manager", "one", "two", "three"))
    )
    images = Images(listed, frozenset({"many/a.py", "many/bin/manager"}), frozenset({"many/a.py"}))
    (found_pass,) = found(images).values()
    assert images.left([applied(found_pass)]) == {"many/a.py", "many/bin/manager"}


def test_what_errors_name_is_found_in_few_questions() -> None:
    listed = files("many/a.py", *(f"many/bin/{number}" for number in range(200)))
    needed = frozenset({"many/a.py", "many/bin/7", "many/bin/123"})
    silent, talking = (
        Images(listed, needed, frozenset({"many/a.py"}), talks=talks) for talks in (False, True)
    )
    assert found(silent) == found(talking)
    assert talking.asked < 15 < silent.asked


@pytest.mark.parametrize(
    ("said", "names"),
    [
        (
            "Unable to find manager at /opt/x/lib/python3.11/site-packages/t/bin/manager",
            {"t/bin/manager"},
        ),
        ("ModuleNotFoundError: No module named 't.core'", {"t/core.py"}),
        ("ModuleNotFoundError: No module named 't.more'", {"t/more/__init__.py"}),
        ("ImportError: cannot import name 'core' from 't' (unknown location)", {"t/core.py"}),
        ("FileNotFoundError: [Errno 2] No such file or directory: 'somewhere/else'", set()),
    ],
)
def test_errors_name_files_and_modules(said: str, names: set[str]) -> None:
    assert units.named(said, {"t/bin/manager", "t/core.py", "t/more/__init__.py"}) == names


def test_opened_is_not_needed_and_a_keep_set_is_what_stays() -> None:
    needed = frozenset({"many/core.py", PARTS[2], PARTS[7]})
    images = Images(files("many/core.py", *PARTS), needed, frozenset({"many/core.py", *PARTS}))
    (found_pass,) = found(images).values()
    assert found_pass.remove == ("many/models/**",)
    assert found_pass.keep == ("many/models/c/**", "many/models/h/**")


def test_small_folders_are_tried_where_most_of_the_large_ones_went() -> None:
    listed = files("many/core.py", *PARTS, size=200_000) + files(
        "many/models/x/a.py", "many/models/y/a.py", size=100
    )
    names = frozenset(name for name, *_ in listed)
    images = Images(listed, frozenset({"many/core.py", PARTS[0], "many/models/y/a.py"}), names)
    (found_pass,) = found(images, Options(least=100_000)).values()
    assert found_pass.keep == ("many/models/a/**", "many/models/y/**")


def test_what_weighs_little_is_not_tried_on_its_own() -> None:
    listed = files("many/core.py", "many/x/a.py", "many/y/a.py")
    images = Images(listed, frozenset({"many/core.py"}), frozenset(name for name, *_ in listed))
    assert found(images, Options(least=100_000)) == {}
    assert images.asked == 1, "whether it holds as it is"


def test_a_package_of_which_nothing_is_used_is_not_installed() -> None:
    meta = ["other-1.2.dist-info/METADATA", "other-1.2.dist-info/entry_points.txt"]
    listed = files("many/a.py") + files("other/a.py", "other/LICENSE", *meta, package="other")
    images = Images(listed, frozenset({"many/a.py"}), frozenset({"many/a.py", meta[1]}))
    (found_pass,) = found(images).values()
    assert (found_pass.name, found_pass.drop) == ("found.base-ml.packages", ("other",))


def test_a_package_whose_version_is_asked_for_keeps_its_metadata() -> None:
    listed = files("many/a.py") + files(
        "other/a.py", "other-1.2.dist-info/METADATA", package="other"
    )
    opened = frozenset({"many/a.py", "other-1.2.dist-info/METADATA"})
    (found_pass,) = found(Images(listed, opened, opened)).values()
    assert (found_pass.drop, found_pass.remove) == ((), ("other/**",))


def test_licences_and_metadata_are_never_in_question() -> None:
    licences = {"many/c/LICENSE", "many/licenses/of-others.txt"}
    listed = files("many/a.py", "many/b.py", "many/c/d.py", "many-1.2.dist-info/RECORD", *licences)
    images = Images(listed, frozenset({"many/a.py"}), frozenset({"many/a.py"}))
    (found_pass,) = found(images).values()
    assert images.left([applied(found_pass)]) == {
        "many/a.py",
        "many-1.2.dist-info/RECORD",
        *licences,
    }


def test_what_a_command_alone_uses_stays_with_the_data_of_its_package() -> None:
    listed = files("many/a.py") + files(
        "other/serve.py", "other/cacert.pem", "other/b.py", package="other"
    )
    images = Images(
        listed, frozenset({"many/a.py"}), frozenset({"many/a.py"}), frozenset({"other/serve.py"})
    )
    (found_pass,) = found(images).values()
    assert images.left([applied(found_pass)]) == {"many/a.py", "other/serve.py", "other/cacert.pem"}


def test_globs_of_the_caller_are_never_in_question() -> None:
    images = Images(
        files("many/a.py", "many/b/c.py", "many/d.py"),
        frozenset({"many/a.py"}),
        frozenset({"many/a.py"}),
    )
    (found_pass,) = found(images, Options(least=1, keep=("many/b/**",))).values()
    assert found_pass.remove == ("many/d.py",)


@pytest.mark.parametrize("limit", [1, 9, 1000])
def test_when_time_is_up_what_has_held_is_proposed(
    monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    clock = itertools.count()
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    needed = frozenset({"many/a.py", PARTS[3], PARTS[7]})
    images = Images(files("many/a.py", *PARTS), needed, frozenset({"many/a.py", *PARTS}))
    oracle: Any = images
    options = Options(least=1, seconds=limit)
    made = search(oracle, (LAYER,), STARTS, options, lambda _: None, images.warned.append)
    left = images.left([applied(each.proposed) for each in made.proposals])
    assert needed <= left
    assert made.whole == (limit == 1000) == (left == needed)
    assert (len(left) == len(images.files)) == (limit == 1)


def test_a_smoke_that_fails_as_it_is_ends_the_search() -> None:
    images = Images(files("many/a.py"), frozenset({"many/missing.py"}), frozenset())
    with pytest.raises(CheckError, match="the smoke of one failed"):
        found(images)


def test_a_service_that_no_longer_answers_ends_the_search() -> None:
    images = Images(
        files("many/a.py", "many/b.py"), frozenset(), frozenset({"many/a.py"}), served=False
    )
    with pytest.raises(CheckError, match="one no longer answers"):
        found(images)


UNUSED = (
    files("many/a.py", "many/b.py")
    + files("other/a.py", package="other")
    + [("many/__pycache__/a.cpython-311.pyc", 9000, "many", "1.2")]
)


def test_a_proposal_says_that_commands_use_none_of_it() -> None:
    images = Images(UNUSED, frozenset({"many/a.py"}), frozenset({"many/a.py"}))
    hold = "Found by slimbake search: the smokes of one pass without, and their commands"
    assert {name: each.why for name, each in found(images).items()} == {
        "found.base-ml.packages": f"{hold} use nothing of them.",
        "found.base-ml": f"{hold} open none of it.",
        "found.base-ml.bytecode": (
            "Found by slimbake search: neither the smokes of one nor their commands import these "
            "modules."
        ),
    }
    assert images.warned == []


def test_a_command_that_cannot_be_traced_is_named_and_no_proposal_claims_that_it_was() -> None:
    images = Images(
        UNUSED,
        frozenset({"many/a.py"}),
        frozenset({"many/a.py"}),
        untraced="/run is no script of Python",
    )
    claims = [each.why for each in found(images).values()]
    only = "What the command of one uses was not seen, or not all of it."
    assert claims == [
        f"Found by slimbake search: the smokes of one pass without. {only}",
        f"Found by slimbake search: the smokes of one pass without. {only}",
        f"Found by slimbake search: the smokes of one do not import these modules. {only}",
    ]
    (said,) = images.warned
    assert said.startswith(
        "the command of one was not seen to its end: /run is no script of Python; "
    )
    assert "--keep GLOB" in said
    assert images.looked == 1, "it is not tried again"


class Silent(Images):
    """A service whose command never answers, with passes or without."""

    def traced(
        self, passes: Sequence[Applied], starts: Mapping[str, Start] | None = None
    ) -> dict[str, Used]:
        (used,) = super().traced(passes, starts).values()
        return {"one": replace(used, held=used.held and starts is None)}


def test_a_server_that_never_answers_is_named_and_what_it_used_until_then_stays() -> None:
    images = Silent(
        UNUSED, frozenset({"many/a.py"}), frozenset({"many/a.py"}), frozenset({"other/a.py"})
    )
    made = found(images)
    assert (
        "found.base-ml.packages" not in made and "their commands" not in made["found.base-ml"].why
    )
    assert images.warned[0].startswith(
        "the command of one was not seen to its end: it did not answer at its port; "
    )
    assert images.looked > 1


class Company(Images):
    """Two services on the same files, each with needs of its own."""

    subjects = (Subject("one"), Subject("two"))
    needs: Mapping[str, frozenset[str]] = {}
    trials: Mapping[str, list[int]] = {}

    def holds(
        self, questions: Sequence[Sequence[Applied]], subjects: Sequence[Subject] = ()
    ) -> list[bool]:
        whom = [subject.service for subject in subjects or self.subjects]
        for service in whom:
            self.trials[service].append(len(questions))
        return [all(self.needs[name] <= self.left(passes) for name in whom) for passes in questions]

    def traced(
        self, passes: Sequence[Applied], starts: Mapping[str, Start] | None = None
    ) -> dict[str, Used]:
        (used,) = super().traced(passes, starts).values()
        return {"one": used, "two": used}


def test_services_that_share_a_layer_keep_the_union_and_the_second_is_asked_little() -> None:
    listed = files("many/core.py", *PARTS)
    images = Company(listed, frozenset(), frozenset(name for name, *_ in listed))
    images.subjects = (Subject("one"), Subject("two"))
    images.needs = {
        "one": frozenset({"many/core.py", *PARTS[:3]}),
        "two": frozenset({"many/core.py", PARTS[3]}),
    }
    images.trials = {"one": [], "two": []}
    (found_pass,) = found(images).values()
    assert found_pass.keep == tuple(f"many/models/{name}/**" for name in "abcd")
    assert sum(images.trials["two"]) < sum(images.trials["one"])


def test_bytecode_counts_as_its_modules() -> None:
    listed = [("m/a.py", 10, "m", "1"), ("m/__pycache__/a.cpython-311.pyc", 15, "m", "1")]
    (module,) = units.modules(listed).values()
    assert (module.name, module.bytes, module.bytecode) == ("m/a.py", 25, 15)


@pytest.mark.parametrize(("small", "gone"), [(0, {"m/c.py"}), (6000, set())])
def test_small_modules_stay_where_most_are_used(small: int, gone: set[str]) -> None:
    listed = files("m/a.py", "m/b.py", "m/c.py", size=5000)
    fleet = units.fleet([listed], [["m/a.py", "m/b.py"]], [])
    assert units.unopened(fleet, small=small) == gone


def test_by_directory_leaves_what_lies_beside_what_is_used() -> None:
    fleet = units.fleet([files("m/a.py", "m/b.py", "m/c/d.py")], [["m/a.py"]], [])
    assert units.unopened(fleet, by="directory") == {"m/c/d.py"}


def applied(proposed: Pass) -> Applied:
    concerns = tuple(name for name, _ in proposed.packages)
    return Applied(
        name=proposed.name,
        packages=concerns,
        remove=proposed.remove,
        keep=proposed.keep,
        drop=proposed.drop,
    )


def proposal(name: str, *remove: str) -> Proposal:
    made = Pass(
        name=name, about="removes: much", why="w", costs="", packages=(("m", "==1"),), remove=remove
    )
    return Proposal("base-ml", made, 3, 1_500_000)


def test_what_is_written_reads_back() -> None:
    text = catalogue_text([proposal("found.base-ml", "m/**", "m/- odd: name")])
    assert yaml.safe_load(text) == {
        "passes": {"found.base-ml": entry(proposal("found.base-ml", "m/**", "m/- odd: name"))}
    }
    assert [catalogue_with(text, []) for text in ("", OURS)] == ["", OURS]
    assert catalogue_with("", [proposal("found.base-ml", "m/**")]) == catalogue_text(
        [proposal("found.base-ml", "m/**")]
    )


OURS = """\
# ours
passes:
  # before
  mine:
    about: a  # why not
    remove: [x]

  found.base-ml:
    about: old
    remove:
      - old/**

  # after
  last: {about: b}
"""


def test_an_entry_is_replaced_and_all_else_stays_as_it_is() -> None:
    text = catalogue_with(OURS, [proposal("found.base-ml", "m/**")])
    before, after = OURS.split("  found.base-ml:\n    about: old\n    remove:\n      - old/**\n\n")
    assert text.startswith(before) and text.endswith(after)
    assert "old" not in text
    assert catalogue_with(text, [proposal("found.base-ml", "m/**")]) == text


def test_a_new_entry_comes_last() -> None:
    text = catalogue_with(OURS, [proposal("found.one", "m/**")])
    assert text.startswith(OURS)
    assert list(yaml.safe_load(text)["passes"]) == ["mine", "found.base-ml", "last", "found.one"]


def test_a_catalogue_that_is_laid_out_otherwise_is_not_touched() -> None:
    with pytest.raises(ValueError, match="no line 'passes:'"):
        catalogue_with("{passes: {}}\n", [proposal("found.one", "m/**")])


def test_answers_are_kept_but_for_those_that_ran_out_of_time(tmp_path: Path) -> None:
    kept = Kept(Workspace(tmp_path), "search")
    held = Outcome(True, "", "", {"load": 1.5}, files=3, bytes=7)
    kept.put("aa1", held)
    kept.put("aa2", Outcome(False, "time", "", {}))
    assert kept.get("aa1") == held
    assert kept.get("aa2") is None


def test_an_answer_is_of_what_passes_do_and_not_of_how_they_are_called() -> None:
    one, same, other = (
        Applied(name=name, packages=("m",), remove=(glob,))
        for name, glob in (("a", "x"), ("b", "x"), ("a", "y"))
    )
    assert key("image", [one]) == key("image", [same]) != key("image", [other])
    assert key("image", [one]) != key("another", [one])
