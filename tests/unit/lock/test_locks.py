"""The committed locks as one value: what they answer, and why one is stale."""

import json
import os
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from tests.unit.fleets import COMMON, asks, fleet, questions, service

from slimbake.config.model import BaseEntry, Requirements
from slimbake.errors import StaleFiles, UsageError
from slimbake.fleet import Fleet
from slimbake.fleet.interpreter import Interpreter, parsed_interpreter
from slimbake.fleet.model import External
from slimbake.inside.locked import HEADER
from slimbake.lock.asked import stale
from slimbake.lock.locks import (
    EXTERNALS,
    INPUTS,
    LockRecord,
    Locks,
    Stale,
    expect_fresh,
    externals_text,
    lock_file,
    parse_externals,
    parse_interpreters,
    read_locks,
    weights_text,
    write_locks,
)
from slimbake.lock.model import text_digest

RECORDED = f'{{"api": {{"asked": "asked", "lock": "{text_digest(HEADER)}"}}}}'


@pytest.mark.parametrize(
    ("name", "asked", "text", "why", "new"),
    [
        ("api", "asked", HEADER, None, False),
        ("other", "asked", None, "it was never locked", True),
        (
            "other",
            "asked",
            "text",
            "bake/locks/inputs.json does not say what bake/locks/other.txt was locked for",
            False,
        ),
        ("api", "asked", None, "bake/locks/api.txt is missing", False),
        ("api", "more", "text", "", False),
        ("api", "asked", "texts", "bake/locks/api.txt was edited", False),
    ],
)
def test_a_lock_is_stale_for_one_reason(
    name: str, asked: str, text: str | None, why: str | None, new: bool
) -> None:
    files = {lock_file(INPUTS): RECORDED} | ({} if text is None else {lock_file(name): text})
    found = Locks(files).compared(name, asked)
    damaged = (why or "").endswith(("missing", "edited"))
    assert found == (None if why is None else Stale(name, why, new, damaged))


def test_what_was_never_locked_is_said_in_words() -> None:
    new = (*(f"s{number}" for number in range(12)), EXTERNALS)
    with pytest.raises(StaleFiles) as refused:
        expect_fresh(Stale(name, "it was never locked", True) for name in new)
    assert refused.value.message == (
        "not locked yet: the packages of s0, s1, s2, s3, s4, s5, s6, s7, s8, s9 and 2 more;"
        " the digests of the base images"
    )
    assert refused.value.hint.startswith("run `slimbake lock`")


def test_what_has_changed_since_it_was_locked_is_said_once_and_in_words() -> None:
    def made(python: str = "3.11", web: str = "starlette", api: str = "httpx") -> Fleet:
        bases = (BaseEntry(name="web", requirements=asks(web)),)
        asked = Requirements(specs=(api,), files=("api/requirements.txt",))
        services = (service("api", base="web", requirements=asked), service("job", base="web"))
        return fleet(*services, bases=bases, python=python)

    records = {name: LockRecord(value, "") for name, value in questions(made()).items()}
    lines = json.dumps({name: asdict(each) for name, each in records.items()})
    texts = {lock_file(name): "" for name in records} | {lock_file(INPUTS): lines}

    def said(now: Fleet) -> set[str]:
        return {each.why for each in stale(now, Locks(texts)) if not each.why.endswith("edited")}

    assert said(made()) == set()
    of_api = "what api asks for has changed (services.yaml, api/requirements.txt)"
    assert said(made(api="rich")) == {of_api}
    of_web = "what the base web asks for has changed (services.yaml)"
    assert said(made(web="flask", api="rich")) == {of_web}
    assert of_web in said(made("3.12"))


def test_a_package_of_the_repository_asks_by_the_files_that_it_has(tmp_path: Path) -> None:
    setup = tmp_path / "libs/common/setup.py"
    setup.parent.mkdir(parents=True)
    setup.write_text("setup(install_requires=['httpx'])")
    api = service("api", requirements=asks(packages=(COMMON,)))
    asked = fleet(api, file=tmp_path / "services.yaml")
    records = {name: LockRecord(value, "") for name, value in questions(asked).items()}
    setup.write_bytes("# café\nsetup(install_requires=['rich'])".encode("latin-1"))
    lines = json.dumps({name: asdict(each) for name, each in records.items()})
    locks = Locks({**{lock_file(name): "" for name in records}, lock_file(INPUTS): lines})
    [why] = [each.why for each in stale(asked, locks) if each.why.startswith("what api asks")]
    assert why.endswith("has changed (services.yaml, libs/common/setup.py)")


@pytest.mark.parametrize(
    ("file", "text", "counts"),
    [
        ("pyproject.toml", '[project]\nauthors = [\n]\nversion = "VERSION"\n', False),
        ("pyproject.toml", '[tool.poetry]\nversion = "VERSION"', False),
        ("setup.cfg", "[metadata]\nversion = VERSION\n[options]\ninstall_requires =\n x\n", False),
        ("pyproject.toml", '[tool.poetry.dependencies]\nversion = "VERSION"\n', True),
        ("setup.py", 'version = "VERSION"\nsetup(install_requires=["x==" + version])\n', True),
    ],
)
def test_a_new_local_version_is_fresh(file: str, text: str, counts: bool, tmp_path: Path) -> None:
    place = tmp_path / "libs/common" / file
    place.parent.mkdir(parents=True)
    api = service("api", requirements=asks(packages=(COMMON,)))
    asked = []
    for version in ("2.3.1", "2.3.2"):
        place.write_text(text.replace("VERSION", version))
        asked.append(questions(fleet(api, file=tmp_path / "services.yaml")))
    assert (asked[0] != asked[1]) == counts
    place.write_text(f"{text}\n# more\n")
    assert questions(fleet(api, file=tmp_path / "services.yaml")) != asked[1]


def test_what_is_recorded_is_read_again_and_is_a_line_each(tmp_path: Path) -> None:
    records = {"b": LockRecord("1", "2"), "a": LockRecord("3", "4")}
    write_locks(tmp_path, {}, records)
    locks = read_locks(tmp_path)
    assert locks.records == records
    lines = ('"a": {"asked": "3", "lock": "4"},', '"b": {"asked": "1", "lock": "2"}')
    assert (locks.text(INPUTS) or "").splitlines() == ["{", *(f" {line}" for line in lines), "}"]


@pytest.mark.parametrize(
    "text", ["", "{}", "<<<<<<< HEAD\n{}", "[]", '{"a": 1}', '{"a": {"other": "x"}}', "null"]
)
def test_what_is_no_record_records_nothing(text: str) -> None:
    assert Locks({lock_file(INPUTS): text}).records == {}


def test_files_that_are_no_locks_stay(tmp_path: Path) -> None:
    (tmp_path / "bake/locks").mkdir(parents=True)
    (tmp_path / "bake/locks/notes.json").write_text("{}")
    write_locks(tmp_path, {}, {})
    left = sorted(path.name for path in (tmp_path / "bake/locks").iterdir())
    assert left == ["inputs.json", "notes.json"]


def test_one_image_may_be_pinned_at_two_digests() -> None:
    python = External("python", "python:3.11", "sha256:2")
    builder = External("builder", "python:3.11", "sha256:1")
    unknown = External("uv", "uv:1")
    assert parse_externals(externals_text([python, builder, unknown])) == {
        ("python", "python:3.11"): "sha256:2",
        ("builder", "python:3.11"): "sha256:1",
    }


FOUND = Interpreter(
    path="/usr/bin/python3.13",
    version="3.13.5",
    libc="glibc-2.41",
    machine="x86_64",
    user="1234:1234",
    home="",
    compilers="cc,nvcc",
)


@pytest.mark.parametrize("digest", ["", f"sha256:{'0' * 64}"])
def test_the_python_of_an_image_is_recorded_beside_its_digest(digest: str) -> None:
    image = External("from_x", "x:1", digest, "3.13", FOUND)
    text = externals_text([image, External("uv", "uv:1", "sha256:1")])
    assert parse_interpreters(text) == {("from_x", "x:1"): FOUND}
    assert parse_externals(text).get(("from_x", "x:1"), "") == digest
    assert f"from_x x:1 {digest or 'unresolved'} /usr/bin/python3.13 3.13.5 " in text


WORDS = ("/usr/bin/python3.13", "3.13.5", "glibc-2.41", "x86_64", "0:0", "-", "-")


@pytest.mark.parametrize(
    ("place", "word"),
    [
        *((0, word) for word in ("python3", '/a"', "/a\\n", "/" + "a" * 255, "/$HOME", "")),
        *((1, word) for word in ("2.7.18", "3.13", "3.13.5;")),
        *((2, word) for word in ("none", "musl-1.2")),
        *((4, word) for word in ("root", "0", "0:0:0")),
        *((5, word) for word in ("", "home", "/a\x00")),
        *((6, word) for word in ("", "cc,", "a b", "cc," * 12)),
    ],
)
def test_what_an_image_says_of_its_python_is_taken_only_in_its_form(place: int, word: str) -> None:
    assert parsed_interpreter(WORDS)
    words = [*WORDS]
    words[place] = word
    assert parsed_interpreter(words) is None
    assert parsed_interpreter(WORDS[:-1]) is None


def test_a_lock_without_the_python_of_an_image_is_stale_until_one_has_it() -> None:
    whole = fleet(service("api", image="x:1"))
    (external,) = (each for each in whole.externals if each.version)

    def why(interpreter: Interpreter | None) -> list[str]:
        text = externals_text([replace(external, interpreter=interpreter)])
        asked = questions(whole)["externals"]
        record = json.dumps({"externals": {"asked": asked, "lock": text_digest(text)}})
        locks = Locks({"externals.txt": text, lock_file(INPUTS): record})
        return [lock.why for lock in stale(whole, locks) if lock.name == "externals"]

    assert why(replace(FOUND, version="3.11.9")) == []
    missing = (
        "no lock says where Python 3.11 is in x:1: `slimbake lock` runs it, which needs Docker"
    )
    assert why(None) == why(FOUND) == [missing], "it has another version"


def test_a_lock_without_hashes_is_stale_though_its_record_agrees() -> None:
    text = f"{HEADER}# httpx-1-py3-none-any.whl 5\nhttpx==1\n"
    record = f'{{"api": {{"asked": "asked", "lock": "{text_digest(text)}"}}}}'
    found = Locks({"api.txt": text, lock_file(INPUTS): record}).compared("api", "asked")
    assert found and found.damaged
    assert found.why == (
        "bake/locks/api.txt:3: 'httpx==1' is no exact version with a SHA-256 for each wheel"
    )


def test_debian_packages_of_a_service_are_asked_for_its_own_platforms() -> None:
    def asked(name: str, *others: str) -> str:
        said = {"a": ("linux/arm64",), "b": ("linux/amd64",)}
        named = (name, *others)
        services = (service(each, system=("libx",), platforms=said[each]) for each in named)
        return questions(fleet(*services))[f"{name}.system"]

    assert asked("a") == asked("a", "b")
    assert asked("a") != asked("b")


def test_weights_that_are_no_files_are_refused_with_their_name(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="pipe: it is a FIFO"):
        weights_text(tmp_path, ".")
    (tmp_path / "pipe").unlink()
    for target, why in (("/dev/zero", "a link leads out"), ("nowhere", "No such file")):
        (tmp_path / "odd").symlink_to(target)
        with pytest.raises(UsageError, match=f"odd: {why}"):
            weights_text(tmp_path, ".")
        (tmp_path / "odd").unlink()


@pytest.mark.parametrize("name", ["a\nb", "a\u2028b", "a\x1bb"])
def test_weights_whose_name_breaks_a_line_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("x")
    with pytest.raises(UsageError) as caught:
        weights_text(tmp_path, ".")
    assert repr(name) in caught.value.message
