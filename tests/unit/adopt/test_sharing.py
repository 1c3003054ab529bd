"""Bases that are found in what services require."""

from __future__ import annotations

from slimbake.adopt.sharing import Wants, shared


def wants(**services: str) -> list[Wants]:
    return [Wants(name, tuple(text.split())) for name, text in services.items()]


def test_what_all_require_is_one_base_and_what_some_share_extends_it() -> None:
    found = shared(
        wants(
            a="fastapi uvicorn httpx",
            b="fastapi uvicorn numpy scipy",
            c="numpy fastapi scipy uvicorn",
        )
    )
    assert [(b.name, b.extends, b.requirements, b.services) for b in found.bases] == [
        ("fastapi", "", ("fastapi", "uvicorn"), ("a", "b", "c")),
        ("numpy", "fastapi", ("numpy", "scipy"), ("b", "c")),
    ]
    assert found.base_of == {"a": "fastapi", "b": "numpy", "c": "numpy"}


def test_a_base_is_called_after_the_package_that_the_fewest_other_services_require() -> None:
    services = wants(
        embed="numpy transformers",
        rank="numpy transformers",
        plot="numpy matplotlib requests",
        feed="aiohttp requests zstandard",
        crawl="aiohttp requests zstandard",
    )
    found = {base.name: base.requirements for base in shared(services).bases}
    assert found["transformers"] == ("numpy", "transformers")
    assert found["aiohttp"] == ("aiohttp", "zstandard"), "the first of the rarest"
    every = shared(wants(a="httpx flask", b="httpx flask")).bases
    assert [base.name for base in every] == ["httpx"], "nothing tells them apart"


def test_a_base_has_the_extras_that_all_ask_for() -> None:
    found = shared(wants(a="uvicorn[standard] x[a,b]", b="uvicorn x[b,c]"))
    assert found.bases[0].requirements == ("uvicorn", "x[b]")


def test_services_whose_versions_no_version_meets_stay_apart() -> None:
    found = shared(wants(a="pydantic<2 x", b="pydantic>=2 x", c="pydantic~=2.5 x"))
    assert found.base_of == {"b": "pydantic", "c": "pydantic"}
    assert set(found.apart) == {("a", "b", "pydantic"), ("a", "c", "pydantic")}


def test_ranges_that_meet_between_the_versions_that_they_name_share() -> None:
    assert shared(wants(a="x>1,<3 y", b="x>2 y")).base_of == {"a": "x", "b": "x"}
    assert shared(wants(a="x==1.2.3 y", b="x>=1,<2 y")).base_of == {"a": "x", "b": "x"}


def test_a_requirement_with_a_marker_is_nobodys_base() -> None:
    specs = ("x ; sys_platform == 'win32'", "y")
    found = shared([Wants("a", specs), Wants("b", specs)])
    assert found.bases[0].requirements == ("y",)


def test_torch_stands_in_a_base_that_says_which_build() -> None:
    alone = shared([Wants("a", ("torch", "x"), "cu128"), Wants("b", ("x",))])
    assert [(b.name, b.extends, b.torch) for b in alone.bases] == [
        ("x", "", ""),
        ("a-torch", "x", "cu128"),
    ]
    both = shared(wants(a="torch x", b="torch x"))
    assert [(b.requirements, b.torch) for b in both.bases] == [(("torch", "x"), "cpu")]
    differ = shared([Wants("a", ("torch", "x"), "cpu"), Wants("b", ("torch", "x"), "cu128")])
    assert {b.torch for b in differ.bases} == {"cpu", "cu128"}


def test_nothing_in_common_is_no_base() -> None:
    assert shared(wants(a="x", b="y")).bases == ()


def test_services_whose_locks_pin_other_versions_of_anything_stay_apart() -> None:
    one = Wants("a", ("fastapi", "uvicorn"), pins=("starlette==1.0", "h11==0.14"))
    other = Wants("b", ("fastapi", "uvicorn"), pins=("starlette==1.1",))
    assert shared([one, other]).apart == (("a", "b", "starlette"),)
    same = Wants("c", ("fastapi", "uvicorn"), pins=("starlette==1.0",))
    assert shared([one, same]).base_of == {"a": "fastapi", "c": "fastapi"}


def test_a_base_names_what_somebody_asked_for_and_not_what_comes_with_it() -> None:
    """Of compiled lists: `anyio` comes with `httpx` in both, `idna` with what only one has."""
    names = ("anyio==4", "httpx==1", "idna==3", "rich==13")
    made = shared(
        [
            Wants("api", names, via={"anyio": frozenset({"httpx"}), "idna": frozenset({"httpx"})}),
            Wants("job", names, via={"anyio": frozenset({"httpx"}), "idna": frozenset({"yarl"})}),
        ]
    )
    assert [base.requirements for base in made.bases] == [("httpx", "idna", "rich")]


def test_packages_that_require_each_other_stay_in_a_base() -> None:
    via = {"one": frozenset({"two"}), "two": frozenset({"one"})}
    made = shared([Wants(name, ("one", "two"), via=via) for name in ("api", "job")])
    assert [base.requirements for base in made.bases] == [("one",)]


def test_torch_stays_in_a_base_that_it_comes_with() -> None:
    via = {"torch": frozenset({"accelerate"})}
    made = shared([Wants(n, ("accelerate", "torch"), "cpu", via=via) for n in ("api", "job")])
    assert [base.requirements for base in made.bases] == [("accelerate", "torch")]
