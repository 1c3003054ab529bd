"""What apt's files and answers say, and what readies a bare machine."""

from dataclasses import replace
from pathlib import Path

import pytest
from tools.bare import apt, engine
from tools.bare.apt import AptSource, deb822_sources, line_sources, sources, system_path

MIRROR = ("http://m.example",)


@pytest.mark.parametrize(
    ("line", "source"),
    [
        ("deb http://m.example trixie main", AptSource(MIRROR, suites=("trixie",))),
        (
            "deb [arch=amd64 signed-by=/k.gpg trusted=yes] http://m.example ./ # flat",
            AptSource(MIRROR, suites=("./",), signed_by="/k.gpg", trusted=True),
        ),
    ],
)
def test_a_line_of_sources_list(line: str, source: AptSource) -> None:
    text = f"# comment\ndeb-src http://m.example trixie main\n{line}\n#deb http://off x\n"
    assert tuple(line_sources(text)) == (source,)


def test_a_deb822_file_gives_its_enabled_binary_sources() -> None:
    text = """\
# the mirror
Types: deb deb-src
URIs: http://a.example http://b.example
Suites: trixie
 trixie-updates
Components: main
# a comment inside
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc

Types: deb
Enabled: no
URIs: http://off.example
Suites: trixie

Types: deb-src
URIs: http://source.example
Suites: trixie
"""
    (source,) = deb822_sources(text)
    assert source.uris == ("http://a.example", "http://b.example")
    assert source.suites == ("trixie", "trixie-updates")
    assert source.signed_by == "-----BEGIN PGP PUBLIC KEY BLOCK-----\n.\nabc"


def test_a_source_written_as_deb822_reads_back_with_the_suites_that_are_asked_for() -> None:
    source = AptSource(
        uris=("http://a.example",), suites=("x",), signed_by="KEY\n.\nabc", trusted=True
    )
    (found,) = deb822_sources(source.deb822(("y", "z")))
    assert found == replace(source, suites=("y", "z"))


@pytest.mark.parametrize("text", ["", "# only\n", "\n\n", "garbage\n", " lead: x\n", "Types deb\n"])
def test_a_file_without_a_source_has_none(text: str) -> None:
    assert tuple(deb822_sources(text)) == ()


def test_the_systems_programs_are_found_without_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/sbin")
    assert system_path() == "/usr/bin:/sbin:/usr/sbin"


def test_sources_are_read_from_every_file_that_apt_reads(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    deb822 = "Types: deb\nURIs: http://%s.example\nSuites: trixie\n"
    for name, text in {
        "sources.list": "deb http://main.example trixie main\n",
        "sources.list.d/z.list": "deb http://z.example ./\n",
        "sources.list.d/a.sources": deb822 % "a",
        "sources.list.d/a.sources.save": deb822 % "no",
    }.items():
        (tmp_path / name).write_text(text)
    assert [source.uris[0] for source in sources(tmp_path)] == [
        "http://main.example",
        "http://a.example",
        "http://z.example",
    ]


def test_a_machine_without_docker_has_no_plugin_and_no_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(apt, "system_path", lambda: str(tmp_path))
    assert not engine.has_plugin("buildx")
    assert not engine.answers()
