"""Ranges of versions, which nearly always are read without `packaging`: as it reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version

from slimbake.config.specs import are_versions, within

RELEASES = st.lists(st.integers(0, 3), min_size=1, max_size=4).map(lambda n: ".".join(map(str, n)))
SUFFIXES = st.sampled_from(["", "", "", "+cpu", "+cu12.1", "rc1", ".post1", ".dev3"])
VERSIONS = st.builds(str.__add__, RELEASES, SUFFIXES)
SIGNS = st.sampled_from(["==", "!=", "<=", ">=", "<", ">", "~=", "===", "=", "", " >="])
CLAUSES = st.builds(
    str.__add__, SIGNS, st.builds(str.__add__, RELEASES, st.sampled_from(["", ".*", "rc1"]))
)
RANGES = st.lists(CLAUSES, max_size=3).map(",".join)


@given(VERSIONS, RANGES)
def test_a_range_is_what_packaging_says_it_is(version: str, versions: str) -> None:
    try:
        wanted = SpecifierSet(versions, prereleases=True)
    except InvalidSpecifier:
        assert not are_versions(versions)
    else:
        assert are_versions(versions)
        assert within(version, versions) is wanted.contains(Version(version))


@pytest.mark.parametrize(
    ("version", "versions", "expected"),
    [
        ("2.13.0+cpu", ">=2.5,<3", True),
        ("2.13.0+cpu", ">2.13", False),
        ("1.10", ">=1.9", True),
        ("1.0", "==1", True),
        ("1.0rc1", "<1", False),
        ("1.0rc1", "", True),
    ],
)
def test_versions_in_ranges(version: str, versions: str, expected: bool) -> None:
    assert within(version, versions) is expected
