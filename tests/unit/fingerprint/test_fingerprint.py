"""Fingerprints: what changes one, what does not, and when nothing is built again because of them."""

import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.fleets import COMMON, asks, fleet, pinned, plan_of, service, written

from slimbake.config.model import BaseEntry, BuildStep, FileCopy, OwnStage, WeightsEntry
from slimbake.fingerprint import ExternalDigests, accounts, fingerprint_tag, of_services
from slimbake.fingerprint.gather import Commit
from slimbake.fleet import Fleet, resolve, with_digests
from slimbake.host.sources import Source
from slimbake.host.workspace import Workspace
from slimbake.lock.locks import Locks
from slimbake.lock.model import Pin, locked_scopes
from slimbake.lock.text import lock_text
from slimbake.plan.model import Plan
from slimbake.release.command import Surroundings
from slimbake.render.generated import SHIPPED, laid_out, update

NOWHERE = Workspace(None)
DIGESTS = {"python": "sha256:1", "builder": "sha256:1", "uv": "sha256:2"}
AROUND = ExternalDigests(DIGESTS)
SERVICES = (
    service("api", base="web", smoke="smoke.py", env=(("LOG", "info"),)),
    service(
        "embed",
        base="ml",
        smoke="smoke.py",
        weights=WeightsEntry("path", "models/small"),
        requirements=asks("faiss"),
    ),
    service("plain"),
)
BASES = (
    BaseEntry("web", requirements=asks("httpx", packages=(COMMON,))),
    BaseEntry("ml", extends="web", requirements=asks("torch")),
)
WRITTEN = written(*SERVICES, bases=BASES)
FLEET = resolve(WRITTEN)
PINNED = {(each.name, each.image): f"sha256:{'a' * 64}" for each in FLEET.externals}
EMBED = {"embed", "embed-smoke", "embed-inventory"}
ON_ML = {"base-ml", "base-ml-inventory", *EMBED}
ON_WEB = {"base-web", "base-web-inventory", "api", "api-smoke", *ON_ML}
PACKAGES = {"layer_base-web", "layer_base-ml", "layer_embed"}
CHECKED = {name for name in ON_WEB if name.endswith(("-smoke", "-inventory"))}


def locks_of(whole: Fleet) -> Locks:
    """Locks of one package each, which is called as its lock is."""
    names = [scope.lock for scope in locked_scopes(whole)]
    return Locks({f"{name}.txt": lock_text([pinned(name)]) for name in names})


def repository(
    root: Path, whole: Fleet = FLEET, texts: Mapping[str, str] = {}
) -> tuple[Plan, Path]:
    """A folder with all that a plan names, and what is generated from it. `texts`: of other locks."""
    locks = Locks({**locks_of(whole).texts, **texts})
    decided = plan_of(whole, locks)
    (root / "bake/locks").mkdir(parents=True, exist_ok=True)
    for target in decided.targets:
        (root / target.context).mkdir(parents=True, exist_ok=True)
        (root / target.context / "file.txt").write_text(target.context)
        text = locks.text(target.name) or f"# a lock\n{target.name}==1\n"
        (root / "bake/locks" / f"{target.name}.txt").write_text(text)
        if target.recipe is None:
            (root / target.dockerfile).write_text("FROM base\nCOPY . /\n")
    for each in laid_out(decided, root):
        (root / each.path).parent.mkdir(parents=True, exist_ok=True)
        (root / each.path).write_bytes(each.content)
    return decided, root


def fingerprints(plan: Plan, *given: Any, **named: Any) -> dict[str, str]:
    """The fingerprint of each target that has one."""
    found = accounts(plan, *given, **named)
    return {each.target: each.fingerprint for each in found if each.fingerprint}


def differing(before: Mapping[str, str], after: Mapping[str, str]) -> set[str]:
    """The targets that have another fingerprint."""
    return {name for name in before if before[name] != after[name]}


def edited(decided: Plan, root: Path, change: Callable[[Path], object]) -> set[str]:
    """The targets that have another fingerprint after a change."""
    before = fingerprints(decided, root, NOWHERE, AROUND)
    change(root)
    return differing(before, fingerprints(decided, root, NOWHERE, AROUND))


@pytest.fixture
def changed(tmp_path: Path) -> Callable[..., set[str]]:
    """The targets that have another fingerprint after a change."""
    decided, root = repository(tmp_path)

    def compare(
        change: Callable[[Path], object], around: ExternalDigests = AROUND, **variables: str
    ) -> set[str]:
        before = fingerprints(decided, root, NOWHERE, AROUND)
        change(root)
        after = fingerprints(decided, root, NOWHERE, around, variables)
        assert before.keys() == after.keys() == EVERYTHING
        return differing(before, after)

    return compare


def nothing(_: Path) -> None:
    pass


def edit(path: str, old: str, new: str) -> Callable[[Path], object]:
    """Replace a text that is there in a file."""

    def change(root: Path) -> None:
        content = (root / path).read_bytes()
        assert old.encode() in content
        (root / path).write_bytes(content.replace(old.encode(), new.encode()))

    return change


def another(path: str) -> Callable[[Path], object]:
    """Replace a program by one of another slimbake."""
    return lambda root: (root / path).write_bytes((root / path).read_bytes() + b"x")


LAYERS = "bake/dockerfiles/layers"
DOCKERIGNORE = "bake/dockerfiles/api.Dockerfile.dockerignore"
EVERYTHING = {target.name for target in plan_of(FLEET, locks_of(FLEET)).targets}


def test_generated_files_are_taken_as_they_would_be_where_they_are_given(tmp_path: Path) -> None:
    decided, root = repository(tmp_path)
    before = fingerprints(decided, root, NOWHERE, AROUND)
    files = {each.path: each for each in laid_out(decided, root)}
    shutil.rmtree(root / "bake/dockerfiles", ignore_errors=True)
    (root / "docker-bake.hcl").write_text("old")
    after = fingerprints(decided, root, NOWHERE, AROUND, files=files)
    assert after == {name: before[name] for name in after}
    assert EVERYTHING - after.keys() == {"inside"}, (
        "it holds all of the folder, and no target needs all of it"
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "services/api/file.txt").write_text("edited"),
        lambda root: (root / "services/api/more.txt").write_text(""),
        lambda root: (root / "services/api/file.txt").unlink(),
        lambda root: (root / "services/api/file.txt").rename(root / "services/api/other.txt"),
        lambda root: (root / "services/api/file.txt").chmod(0o755),
        lambda root: (root / "services/api/empty").mkdir(),
        lambda root: (root / "services/api/link").symlink_to("file.txt"),
        lambda root: (root / os.fsdecode(b"services/api/\xff.txt")).write_text("not UTF-8"),
        lambda root: (root / "bake/dockerfiles/api.Dockerfile").write_text("FROM base\n"),
        lambda root: (root / DOCKERIGNORE).write_text("file.txt\n"),
    ],
)
def test_a_service_s_edit(
    changed: Callable[..., set[str]], change: Callable[[Path], object]
) -> None:
    assert changed(change) - {"api-smoke"} == {"api"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (edit("bake/dockerfiles/base-ml.Dockerfile", "USER 0:0", "USER 0"), ON_ML),
        (edit("models/small/file.txt", "small", "trained"), {"weights-models-small", *EMBED}),
        (edit("libs/common/file.txt", "common", "edited"), {"wheel-common", *ON_WEB}),
        (
            edit(f"{LAYERS}/layer_base-web.json", "==1", "==2"),
            {"inside", "layer_base-web", *ON_WEB},
        ),
        (edit(f"{LAYERS}/layer_embed.json", "==1", "==2"), {"inside", "layer_embed", *EMBED}),
        (
            edit(f"{LAYERS}/layer_base-ml.json", '"strip": true', '"strip": false'),
            {"inside", "layer_base-ml", *ON_ML},
        ),
        (
            edit("bake/dockerfiles/layer.Dockerfile", "USER 0:0", "USER 0"),
            {*PACKAGES, *ON_WEB},
        ),
        (another("bake/programs/make.pyz"), EVERYTHING),
        (another("bake/programs/check.pyz"), {"inside", *CHECKED}),
        (lambda root: (root / "services/api/tests").mkdir(), {"api-smoke"}),
        (edit("bake/locks/wheel-common.txt", "# asked for", "# via api"), {"inside"}),
    ],
)
def test_each_input_changes_what_depends_on_it(
    changed: Callable[..., set[str]], change: Callable[[Path], object], expected: set[str]
) -> None:
    assert changed(change) == expected


def test_the_order_in_which_services_start_is_in_no_image(tmp_path: Path) -> None:
    decided, root = repository(tmp_path)
    before = fingerprints(decided, root, NOWHERE, AROUND)
    files = {each.path: each.content for each in laid_out(decided, root)}
    order = (("embed", "service_healthy"),)
    services = (replace(SERVICES[0], depends_on=order), *SERVICES[1:])
    waiting, _ = repository(tmp_path, resolve(written(*services, bases=BASES)))
    new = {each.path: each.content for each in laid_out(waiting, root)}
    assert {path for path in new if new[path] != files[path]} == {"bake/compose.yaml"}
    after = fingerprints(waiting, root, NOWHERE, AROUND)
    assert differing(after, before) <= {"inside"}


def test_a_bake_file_of_another_slimbake_counts_with_all_of_its_text(tmp_path: Path) -> None:
    decided, root = repository(tmp_path)

    def foreign(old: str, new: str) -> dict[str, str]:
        edit("docker-bake.hcl", old, new)(root)
        found = accounts(decided, root, NOWHERE, AROUND, commit=Commit(foreign={"docker-bake.hcl"}))
        return {each.target: each.fingerprint for each in found}

    before, after = foreign("315532800", "315532801"), foreign("315532801", "315532802")
    assert differing(before, after) == EVERYTHING


def test_a_bake_template_of_one_s_own_counts_for_every_target(tmp_path: Path) -> None:
    decided, root = repository(tmp_path)
    before = fingerprints(decided, root, NOWHERE, AROUND)
    template = (SHIPPED / "docker-bake.hcl.j2").read_text("utf-8")
    (root / "docker-bake.hcl.j2").write_text(f'variable "MINE" {{ default = "1" }}\n{template}')
    update(laid_out(decided, root), root)
    own = fingerprints(decided, root, NOWHERE, AROUND)
    given = fingerprints(decided, root, NOWHERE, AROUND, {"MINE": "2"})
    assert differing(own, before) == EVERYTHING
    assert differing(own, given) == EVERYTHING
    named = fingerprints(decided, root, NOWHERE, AROUND, {"TAG": "2", "CA_BUNDLE": "/c"})
    assert named == own


def test_files_and_images_of_build_steps_count_for_their_service(tmp_path: Path) -> None:
    steps = (
        BuildStep(run=("make",), outputs=("out",), image="node:22", context="frontend"),
        BuildStep(run=("python", "x.py"), outputs=("static",), env=(("A", "b"),)),
    )

    def found(node: str, *steps: BuildStep) -> dict[str, str]:
        whole = resolve(written(service("web", build=steps), service("plain")))
        decided, root = repository(tmp_path, whole)
        (root / "frontend").mkdir(exist_ok=True)
        (root / "frontend/app.js").write_text(text)
        digests = {**{each.name: node for each in whole.externals}, **AROUND.digests}
        return fingerprints(decided, root, NOWHERE, ExternalDigests(digests))

    text = "one"
    first = found("sha256:3", *steps)
    others = [
        found("sha256:3", steps[0]),
        found("sha256:3", steps[0], replace(steps[1], env=(("A", "c"),))),
        found("sha256:4", *steps),
    ]
    text = "two"
    others.append(found("sha256:3", *steps))
    for other in others:
        assert differing(first, other) == {"web"}


def test_a_stage_that_files_are_copied_of_counts_for_the_services_that_hold_them(
    tmp_path: Path,
) -> None:
    stage = OwnStage(dockerfile="web/Dockerfile", context="web", args=(("MODE", "fast"),))
    of_stage = FileCopy(source="/dist", to="/app/static", stage=stage)
    of_image = FileCopy(source="/usr/bin/caddy", to="/usr/bin/caddy", image="caddy:2")

    def found(caddy: str, page: str, *copies: FileCopy, readme: str = "") -> dict[str, str]:
        holding = (service("one", copy=copies), service("two", copy=copies), service("plain"))
        whole = resolve(written(*holding))
        decided, root = repository(tmp_path, whole)
        (root / "web").mkdir(exist_ok=True)
        (root / "web/Dockerfile").write_text(f"FROM node:22@sha256:{'0' * 64}\nCOPY . /src\n")
        (root / "web/.dockerignore").write_text("*.md\n")
        (root / "web/page.html").write_text(page)
        (root / "web/README.md").write_text(readme)
        digests = {**{each.name: caddy for each in whole.externals}, **AROUND.digests}
        of_each = fingerprints(decided, root, NOWHERE, ExternalDigests(digests))
        return {name: of_each[name] for name in ("one", "two", "plain")}

    first = found("sha256:3", "page", of_stage, of_image)
    assert all(first.values())
    without_arguments = replace(of_stage, stage=replace(stage, args=()))
    others = [
        found("sha256:3", "other", of_stage, of_image),
        found("sha256:4", "page", of_stage, of_image),
        found("sha256:3", "page", without_arguments, of_image),
        found("sha256:3", "page", replace(of_stage, to="/app/other"), of_image),
    ]
    for other in others:
        assert differing(first, other) == {"one", "two"}
    assert found("sha256:3", "page", of_stage, of_image, readme="not sent") == first


def test_sources_without_a_wheel_count_for_what_holds_their_wheel(tmp_path: Path) -> None:
    def source(version: str) -> Source:
        return Source(
            "old", version, f"old-{version}.tar.gz", version * 64, requires=("hatchling",)
        )

    def found(version: str) -> dict[str, str]:
        whole = resolve(WRITTEN, sources={"base-ml": (source(version),)})
        built = Pin("old", version, built=source(version).origin)
        locks = {
            "base-ml.txt": lock_text([built]),
            "wheel-old.txt": lock_text((), source(version)),
        }
        return fingerprints(*repository(tmp_path, whole, locks), NOWHERE, AROUND)

    before, after = found("1"), found("2")
    assert differing(before, after) == {"inside", "wheel-old", "layer_base-ml", *ON_ML}


def test_a_new_service_changes_no_other(tmp_path: Path) -> None:
    decided, root = repository(tmp_path)
    before = fingerprints(decided, root, NOWHERE, AROUND)
    new = service("new", base="web")
    more, _ = repository(tmp_path, fleet(*SERVICES, new, bases=BASES))
    after = fingerprints(more, root, NOWHERE, AROUND)
    assert differing(before, after) <= {"inside"}


@pytest.mark.parametrize(
    "path", ["services/api/__pycache__/a.pyc", "services/api/.cache/x", "services/api/b.pyc"]
)
def test_what_is_never_sent_does_not_count(changed: Callable[..., set[str]], path: str) -> None:
    def write(root: Path) -> None:
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_text("x")

    assert changed(write) == set()


def test_what_a_machine_brings_counts(changed: Callable[..., set[str]]) -> None:
    newer = {name: replace(AROUND, digests=DIGESTS | {name: "sha256:9"}) for name in DIGESTS}
    assert changed(nothing, newer["python"]) == {"runtime", "plain", *ON_WEB}, "no layer"
    assert changed(nothing, newer["builder"]) == EVERYTHING - {"inside", "runtime"}
    assert "plain" not in changed(nothing, newer["uv"])
    assert changed(nothing, replace(AROUND, standins=("python",))) == EVERYTHING - PACKAGES
    assert changed(nothing, PLATFORMS="linux/arm64") == EVERYTHING
    assert changed(nothing, COMPRESSION="gzip") >= {"runtime", "api"}
    assert changed(nothing, PLATFORMS=plan_of(FLEET).platforms[0]) == set(), "as it is anyway"
    elsewhere = ("REGISTRY", "TAG", "CACHE_FROM", "CACHE_TO", "LAYOUTS", "CA_BUNDLE")
    assert changed(nothing, **dict.fromkeys(elsewhere, "x")) == set()


def test_of_what_a_machine_brings_only_externals_count_since_locks_name_the_rest() -> None:
    wheels = {"base-ml": "/some/folder"}
    around = Surroundings(
        externals={"python": "docker-image://python"},
        digests=AROUND.digests,
        standins=("python",),
        wheels=wheels,
        find_links=wheels,
        debs=wheels,
    )
    assert around.external_digests == replace(AROUND, standins=("python",))


def test_the_digest_in_a_lock_counts_and_not_where_the_image_was_found(tmp_path: Path) -> None:
    _, root = repository(tmp_path)
    pinned = plan_of(with_digests(FLEET, PINNED))

    def runtime(around: ExternalDigests | None) -> str:
        return fingerprints(pinned, root, NOWHERE, around)["runtime"]

    one = runtime(AROUND)
    assert one == runtime(replace(AROUND, digests=DIGESTS | {"python": "other"}))
    assert one == runtime(None)
    reported = {each.target: each.inputs for each in accounts(pinned, root, NOWHERE)}
    (python,) = (each for each in reported["runtime"] if each.kind == "external")
    assert (python.name, python.digest) == ("python python:3.11-slim-trixie", f"sha256:{'a' * 64}")
    standin = replace(AROUND, standins=("python",))
    assert one != runtime(standin), "stand-ins have fingerprints of their own"


def test_without_a_digest_nothing_is_known(tmp_path: Path) -> None:
    decided, root = repository(tmp_path)
    assert fingerprints(decided, root, NOWHERE) == {}
    reported = {each.target: each.unknown for each in accounts(decided, root, NOWHERE)}
    assert "no lock has its digest" in reported["runtime"][0]
    assert reported["plain"][-1] == "it uses runtime, which cannot be known"


@pytest.mark.parametrize(
    ("said", "known"),
    [
        ({"contexts": (("data", "https://example.com/data.git"),)}, False),
        ({"contexts": (("data", "docker-image://debian:13"),)}, False),
        ({"contexts": (("data", "."),)}, True),
        ({"contexts": (("data", "docker-image://debian@sha256:" + "0" * 64),)}, True),
        ({"contexts": (("data", "services/odd"),)}, True),
        ({"contexts": (("data", "services/gone"),)}, False),
    ],
)
def test_an_unknown_input_has_no_digest(tmp_path: Path, said: dict[str, Any], known: bool) -> None:
    decided, root = repository(
        tmp_path, fleet(service("odd", smoke="smoke.py", **said), service("api"))
    )
    found = fingerprints(decided, root, NOWHERE, AROUND)
    assert ({"odd", "odd-smoke"} <= found.keys(), "api" in found) == (known, True)


def test_a_service_may_stand_on_one_that_comes_later(tmp_path: Path) -> None:
    early = service("early", contexts=(("smoked", "target:late-smoke"),))
    made = repository(tmp_path, fleet(early, service("late", smoke="smoke.py")))
    change = edit("services/late/file.txt", "late", "edited")
    assert edited(*made, change) == {"late", "late-smoke", "early"}


def test_a_checkout_that_is_sent_cannot_be_known(tmp_path: Path) -> None:
    decided, root = repository(tmp_path, fleet(service("odd", contexts=(("data", "."),))))
    (root / ".git").mkdir()
    (root / ".git/HEAD").write_text("ref: refs/heads/main\n")
    reported = {each.target: each.unknown for each in accounts(decided, root, NOWHERE, AROUND)}
    assert reported["odd"] == (
        ".git would be sent with ., and differs in every checkout: name it in .dockerignore",
    )
    (root / ".dockerignore").write_text(".git\n")
    assert "odd" in fingerprints(decided, root, NOWHERE, AROUND)


OWN = fleet(service("own", dockerfile="services/own/Dockerfile", smoke="smoke.py"))


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("FROM base\nCOPY . /\n", True),
        (f"FROM debian@sha256:{'0' * 64}\nRUN apt-get update\n", True),
        ("FROM debian:13\nCOPY . /\n", False),
    ],
)
def test_a_user_s_dockerfile_is_known_by_its_images(tmp_path: Path, text: str, known: bool) -> None:
    decided, root = repository(tmp_path, OWN)
    (root / "services/own/Dockerfile").write_text(text)
    assert ("own" in fingerprints(decided, root, NOWHERE, AROUND)) is known


@pytest.mark.parametrize(
    "ignore", ["services/own/.dockerignore", "services/own/Dockerfile.dockerignore"]
)
def test_a_dockerignore_of_the_users_own_holds(tmp_path: Path, ignore: str) -> None:
    decided, root = repository(tmp_path, OWN)
    (root / "services/own/.dockerignore").write_text("")
    (root / ignore).write_text("**\n!*.txt\n!Dockerfile\n")
    before = fingerprints(decided, root, NOWHERE, AROUND)["own"]
    (root / "services/own/notes.md").write_text("not sent")
    assert fingerprints(decided, root, NOWHERE, AROUND)["own"] == before
    (root / "services/own/more.txt").write_text("sent")
    assert fingerprints(decided, root, NOWHERE, AROUND)["own"] != before


def test_a_dockerignore_that_docker_refuses_is_reported(tmp_path: Path) -> None:
    decided, root = repository(tmp_path, OWN)
    (root / "services/own/.dockerignore").write_text("a[\n")
    reported = {each.target: each.unknown for each in accounts(decided, root, NOWHERE, AROUND)}
    assert reported["own"] == (
        "the .dockerignore of services/own has a pattern that Docker refuses: a[",
    )


def test_a_template_of_inside_that_does_more_counts_wholly(tmp_path: Path) -> None:
    made = repository(tmp_path)
    with (tmp_path / "bake/dockerfiles/inside.Dockerfile").open("a") as file:
        file.write("COPY make.pyz /another.pyz\n")
    assert edited(*made, another("bake/programs/check.pyz")) == EVERYTHING


def test_a_named_context_counts_with_all_that_is_sent_of_it(tmp_path: Path) -> None:
    decided, root = repository(tmp_path, fleet(service("odd", contexts=(("data", "assets"),))))
    (root / "assets").mkdir()
    before = fingerprints(decided, root, NOWHERE, AROUND)
    (root / "assets/.hidden").write_text("sent")
    between = fingerprints(decided, root, NOWHERE, AROUND)
    assert between["odd"] != before["odd"]
    (root / "assets/.dockerignore").write_text(".*")
    assert fingerprints(decided, root, NOWHERE, AROUND)["odd"] != between["odd"], (
        "BuildKit reads that of a named context, too"
    )


def test_a_fingerprint_is_a_digest_and_its_tag_a_tag(tmp_path: Path) -> None:
    decided, root = repository(tmp_path)
    found = fingerprints(decided, root, NOWHERE, AROUND)
    assert found.keys() == EVERYTHING
    for value in found.values():
        assert re.fullmatch(r"sha256:[0-9a-f]{64}", value)
        assert fingerprint_tag(value) == f"fp-{value[7:47]}"
    with pytest.raises(ValueError, match="no fingerprint"):
        fingerprint_tag("latest")


def test_a_services_fingerprint_covers_its_smoke(tmp_path: Path) -> None:
    decided, root = repository(tmp_path)
    before = fingerprints(decided, root, NOWHERE, AROUND)
    (root / "services/api/tests").mkdir()
    after = fingerprints(decided, root, NOWHERE, AROUND)
    assert after["api"] == before["api"]
    assert of_services(decided, after)["api"] != of_services(decided, before)["api"]
    assert of_services(decided, after)["plain"] == of_services(decided, before)["plain"]
    assert "api" not in of_services(decided, {"api": after["api"]})
