"""Rules on one installed wheel: what they remove, what stays, and what the ledger says."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.unit.inside.elves import elf

from slimbake.inside.budget import Budget
from slimbake.inside.ledger import Ledger, LedgerEntry, ledger_bytes, ledgers, read_ledger
from slimbake.inside.make.rules import LayerRule, apply_rules
from slimbake.inside.make.wheel import InstalledWheel
from slimbake.inside.step import StepError

THING = {
    "thing/__init__.py": b"",
    "thing/data/big.bin": b"x" * 100,
    "thing/data/deep/small.bin": b"x",
    "thing/sub/module.py": b"value = 1\n",
    "thing/LICENSE.h": b"free",
    "thing-1.dist-info/RECORD": b"",
}
HEADERS = LayerRule("headers", ("no-compiler", "unnamed"), remove=("**/*.h",))
LIBRARIES = LayerRule("libraries", ("unnamed",), remove=("**/libthing.so*",))
STUBS = LayerRule("stubs", ("unnamed", "stub"), remove=("**/*.pyi",))
SYMBOLS = LayerRule("symbols", strip=True)


def wheel(root: Path, files: Mapping[str, bytes]) -> InstalledWheel:
    """A wheel with these files; a leading `/` is below the prefix."""
    site = root / "lib/python3.11/site-packages"
    paths = []
    for name, content in files.items():
        path = Path(f"{root}{name}") if name.startswith("/") else site / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        paths.append(path)
    return InstalledWheel("thing", "1", root, site, paths)


def taken(made: InstalledWheel, *rules: LayerRule) -> list[str]:
    """The files that rules remove."""
    entries = apply_rules(made, rules)
    assert not [entry for entry in entries if (made.site / entry.path).exists()]
    return [entry.path for entry in entries]


def asked(*globs: str, keep: tuple[str, ...] = ()) -> LayerRule:
    return LayerRule(f"m.yaml: x.remove: {globs[0]}", remove=globs, keep=keep, requested=True)


def test_what_was_asked_for_goes_with_folders_that_are_empty_then(tmp_path: Path) -> None:
    made = wheel(tmp_path, THING)
    rule = asked("thing/data/**", keep=("thing/data/deep/**",))
    entries = apply_rules(made, [rule])
    assert entries == [LedgerEntry("thing/data/big.bin", 100, 0, rule.name, "thing", "1")]
    assert entries[0].requested
    assert taken(made, asked("thing/data/**")) == ["thing/data/deep/small.bin"]
    assert not (made.site / "thing/data").exists() and (made.site / "thing/sub").is_dir()


@pytest.mark.parametrize("glob", ["**/LICENSE*", "*.dist-info/RECORD"])
def test_nobody_removes_licences_or_metadata(tmp_path: Path, glob: str) -> None:
    with pytest.raises(StepError, match=r"^m.*: x.remove: .* would remove metadata or a licence"):
        apply_rules(wheel(tmp_path, THING), [asked(glob)])


CYTHON = {
    "thing/named.h": b"//@requires: asked.h::Type\n#include <a.h>\n",
    "thing/asked.h": b"//@requires: deeper.h::Type",
    "thing/deeper.h": b"",
    "thing/ask.py": b"open(HERE + 'named.h')",
}
"""So Cython's utility code is put together: from texts of C that name each other."""


@pytest.mark.parametrize(
    ("more", "goes"),
    [
        ({"thing/named.h": b"", "thing/ask.py": b"open(HERE + 'named.h')"}, ["thing/a.h"]),
        # Of numpy's tests of f2py, 33 failed without the Fortran files that they read.
        ({"thing/tests/test_a.py": b"open(HERE + 'a.h')"}, []),
        ({"/bin/x86_64-linux-gnu-gcc-14": b""}, []),
        ({"thing/lib/libnvrtc.so.12": b""}, []),
        ({"thing/ziglang/zig": b""}, []),
        (CYTHON, ["thing/a.h"]),
    ],
)
def test_headers_go_unless_code_names_them_or_a_compiler_is_there(
    tmp_path: Path, more: dict[str, bytes], goes: list[str]
) -> None:
    assert taken(wheel(tmp_path, THING | {"thing/a.h": b""} | more), HEADERS) == goes


@pytest.mark.parametrize(
    "other",
    [
        {"thing/ask.py": b"CDLL('libthing.so')"},
        {"thing/_native.cpython-311-x86_64-linux-gnu.so": b"NEEDED libthing.so"},
    ],
)
def test_a_library_that_code_or_another_library_names_stays(
    tmp_path: Path, other: dict[str, bytes]
) -> None:
    library = {"thing/libthing.so": b"", "thing/libthing.so.1": b""}
    assert taken(wheel(tmp_path / "named", THING | library | other), LIBRARIES) == []
    assert taken(wheel(tmp_path / "alone", THING | library), LIBRARIES) == sorted(library)


@pytest.mark.parametrize(
    ("code", "stays"),
    [
        (b"stub = f'{stem}.pyi'", True),
        (b"path.with_suffix('.pyi')", True),
        (b"LEXERS = ('pyi', '*.pyi')", False),
        (b"import thing", False),
    ],
)
def test_stubs_stay_where_code_makes_their_names(tmp_path: Path, code: bytes, stays: bool) -> None:
    made = wheel(tmp_path, THING | {"thing/sub/module.pyi": b"x", "thing/lazy.py": code})
    assert taken(made, STUBS) == ([] if stays else ["thing/sub/module.pyi"])


NATIVE = "thing/_c.cpython-311-x86_64-linux-gnu.so"


@pytest.mark.parametrize(
    ("files", "goes"),
    [
        ({"thing/typeshed/os.pyi": b""}, []),  # beside no module
        ({NATIVE: b"", "thing/_c/deep/a.pyi": b""}, ["thing/_c/deep/a.pyi"]),
        ({"thing/lazy.py": b"attach_stub(__name__, __file__)", "thing/lazy.pyi": b""}, []),
    ],
    ids=["data", "inside an extension module", "of a module that hands its path on"],
)
def test_only_the_stub_of_a_module_goes(
    tmp_path: Path, files: dict[str, bytes], goes: list[str]
) -> None:
    assert taken(wheel(tmp_path, THING | files), STUBS) == goes


def test_symbols_are_stripped_and_the_ledger_has_the_new_hash(tmp_path: Path) -> None:
    libraries = {"thing/lib.so": elf(debug=b"d" * 900), "thing/text.so": b"no library"}
    made = wheel(tmp_path, libraries)
    (entry,) = apply_rules(made, [SYMBOLS])
    assert (entry.path, entry.by, len(entry.digest)) == ("thing/lib.so", "symbols", 64)
    assert entry.before > (made.site / "thing/lib.so").stat().st_size == entry.after > 0
    assert apply_rules(made, [SYMBOLS]) == []


def test_a_ledger_is_read_as_it_was_written(tmp_path: Path) -> None:
    entries = (
        LedgerEntry("a.py", 3, 0, "m.yaml: bases.ml.remove: a*", "a", "1"),
        LedgerEntry("b.so", 9, 5, "symbols", "a", "1", "ab" * 32),
    )
    found = (Ledger("a", "1", entries), Ledger("b", "2", unlisted={"c.py": "0" * 64}))
    (tmp_path / "ledger").mkdir()
    for ledger in found:
        assert read_ledger(ledger_bytes(ledger), Budget()) == ledger
        (tmp_path / "ledger" / ledger.file).write_bytes(ledger_bytes(ledger))
    assert tuple(ledgers(tmp_path)) == found
