"""What apt's files and answers say."""

from __future__ import annotations

import pytest

from slimbake.host.apt import AptSource, parse_deb822, parse_list, parse_policy, system_path


@pytest.mark.parametrize(
    ("line", "source"),
    [
        (
            "deb http://m.example trixie main",
            AptSource(uris=("http://m.example",), suites=("trixie",), components=("main",)),
        ),
        (
            "deb [arch=amd64 signed-by=/k.gpg trusted=yes] http://m.example ./ # flat",
            AptSource(uris=("http://m.example",), suites=("./",), signed_by="/k.gpg", trusted=True),
        ),
    ],
)
def test_a_line_of_sources_list(line: str, source: AptSource) -> None:
    assert parse_list(
        f"# comment\ndeb-src http://m.example trixie main\n{line}\n#deb http://off x\n"
    ) == (source,)


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
    (source,) = parse_deb822(text)
    assert source.uris == ("http://a.example", "http://b.example")
    assert source.suites == ("trixie", "trixie-updates")
    assert source.signed_by == "-----BEGIN PGP PUBLIC KEY BLOCK-----\n.\nabc"


def test_a_source_written_as_deb822_reads_back_as_itself() -> None:
    source = AptSource(
        uris=("http://a.example",),
        suites=("x", "y"),
        components=("main",),
        signed_by="KEY\n.\nabc",
        trusted=True,
    )
    assert parse_deb822(source.deb822()) == (source,)


@pytest.mark.parametrize("text", ["", "# only\n", "\n\n", "garbage\n", " lead: x\n", "Types deb\n"])
def test_a_file_without_a_source_has_none(text: str) -> None:
    assert parse_deb822(text) == ()


def test_a_package_without_a_candidate_is_not_available() -> None:
    text = "docker.io:\n  Installed: (none)\n  Candidate: 26.1.5\ndocker-ce:\n  Candidate: (none)\n"
    assert parse_policy(text) == {"docker.io"}


def test_the_systems_programs_are_found_where_su_left_them_out() -> None:
    assert system_path({"PATH": "/usr/bin:/sbin"}) == "/usr/bin:/sbin:/usr/sbin"
