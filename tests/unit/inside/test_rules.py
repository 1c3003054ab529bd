"""Rules on installed packages: what they remove, what stays, and what the ledger says."""

import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.unit.inside.elves import elf
from tests.wheels import wheel_bytes

from slimbake.inside.ledger import Ledger, LedgerEntry, ledger_bytes, read_ledger
from slimbake.inside.make.install import optimised
from slimbake.inside.rules import LayerFiles, LayerRule, apply_rules, strip_symbols
from slimbake.inside.step import StepError

THING = {
    "thing/__init__.py": b"",
    "thing/data/big.bin": b"x" * 100,
    "thing/data/deep/small.bin": b"x",
    "thing/sub/module.py": b"value = 1\n",
    "thing/LICENSE.h": b"free",
}
HEADERS = LayerRule("headers", ("no-compiler", "unnamed"), remove=("**/*.h",))
STUBS = LayerRule("stubs", ("unnamed", "unsought"), remove=("**/*.pyi",))


def prefix(root: Path, packages: Mapping[str, Mapping[str, bytes]]) -> LayerFiles:
    """A prefix with these packages installed, each of version 1."""
    site = root / "lib/python3.11/site-packages"
    site.mkdir(parents=True, exist_ok=True)
    for name, files in packages.items():
        with tempfile.NamedTemporaryFile(suffix=".whl") as file:
            Path(file.name).write_bytes(wheel_bytes(name, "1", files=files))
            with zipfile.ZipFile(file.name) as archive:
                archive.extractall(site)
    return LayerFiles(root, root.rglob("*"))


def there(layer: LayerFiles) -> set[str]:
    """What lies in site-packages, less metadata."""
    files = (path for path in layer.site.rglob("*") if path.is_file())
    names = (path.relative_to(layer.site).as_posix() for path in files)
    return {name for name in names if ".dist-info/" not in name}


def asked(*globs: str, keep: tuple[str, ...] = ()) -> LayerRule:
    return LayerRule(f"m.yaml: x.remove: {globs[0]}", remove=globs, keep=keep, requested=True)


def test_what_was_asked_for_goes_with_folders_that_are_empty_then(tmp_path: Path) -> None:
    layer = prefix(tmp_path, {"thing": THING})
    rule = asked("thing/data/**", keep=("thing/data/deep/**",))
    entries = apply_rules(layer, [rule])
    assert entries == [LedgerEntry("thing/data/big.bin", 100, 0, rule.name, "thing", "1")]
    assert entries[0].requested
    assert "thing/data/deep/small.bin" in there(layer)
    apply_rules(layer, [asked("thing/data/**")])
    assert not (layer.site / "thing/data").exists() and (layer.site / "thing/sub").is_dir()


@pytest.mark.parametrize("glob", ["**/LICENSE*", "*.dist-info/RECORD"])
def test_nobody_removes_licences_or_metadata(tmp_path: Path, glob: str) -> None:
    files = THING | {"thing/LICENSE": b"free"}
    layer = prefix(tmp_path, {"thing": files})
    with pytest.raises(StepError, match="would remove metadata or a licence"):
        apply_rules(layer, [asked(glob)])


def test_an_unmatched_glob_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert apply_rules(prefix(tmp_path, {"thing": THING}), [asked("thign/**")]) == []
    assert "thign/** matches no file" in capsys.readouterr().out


def test_headers_go_unless_something_compiles_or_code_names_them(tmp_path: Path) -> None:
    files = THING | {
        "thing/include/a.h": b"",
        "thing/include/named.h": b"",
        "thing/ask.py": b"open(HERE + 'named.h')",
    }
    layer = prefix(tmp_path, {"thing": files})
    assert [entry.path for entry in apply_rules(layer, [HEADERS])] == ["thing/include/a.h"]
    compiling = prefix(tmp_path / "gcc", {"thing": files})
    (tmp_path / "gcc/bin").mkdir()
    (tmp_path / "gcc/bin/x86_64-linux-gnu-gcc-14").write_bytes(b"")
    assert apply_rules(compiling, [HEADERS]) == []


def test_a_source_that_one_that_stays_asks_for_stays(tmp_path: Path) -> None:
    """So Cython's utility code is put together: from texts of C that name each other."""
    files = THING | {
        "thing/named.h": b"//@requires: asked.h::Type\n#include <included.h>\n",
        "thing/asked.h": b"//@requires: deeper.h::Type",
        "thing/deeper.h": b"",
        "thing/included.h": b"",
        "thing/ask.py": b"open(HERE + 'named.h')",
    }
    layer = prefix(tmp_path, {"thing": files})
    assert [entry.path for entry in apply_rules(layer, [HEADERS])] == ["thing/included.h"]


def test_what_a_package_does_not_list_stays(tmp_path: Path) -> None:
    prefix(tmp_path, {"thing": THING})
    ours = tmp_path / "lib/python3.11/site-packages/ours.h"
    ours.write_bytes(b"")
    assert apply_rules(LayerFiles(tmp_path, tmp_path.rglob("*")), [HEADERS]) == []
    assert ours.exists()


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
    reader = {"lazy/__init__.py": code}
    layer = prefix(tmp_path, {"thing": THING | {"thing/sub.pyi": b"x"}, "lazy": reader})
    apply_rules(layer, [STUBS])
    assert ("thing/sub.pyi" in there(layer)) is stays


def test_the_ledger_tells_layers_above_what_code_looks_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slimbake.inside.make.install.PREFIX", tmp_path)
    rules = [{"name": "stubs", "conditions": ["unsought"], "remove": ["**/*.pyi"]}]
    settings = {"layer": "base", "rules": rules}
    first = optimised(prefix(tmp_path, {"thing": {"thing/a.pyi": b"x"}}), settings)
    assert (first.sought, first.without) == ((), (".pyi",))
    (tmp_path / "ledger").mkdir()
    (tmp_path / "ledger/base.json.gz").write_bytes(ledger_bytes(first))
    above = {"lazy": {"lazy/__init__.py": b"f'{stem}.pyi'", "lazy/b.pyi": b"x"}}
    second = optimised(prefix(tmp_path, above), settings | {"layer": "service"})
    assert (second.sought, second.without) == ((".pyi",), ())
    assert "code of this layer looks for files *.pyi" in capsys.readouterr().out


def test_symbols_are_stripped_and_the_ledger_has_the_new_hash(tmp_path: Path) -> None:
    layer = prefix(
        tmp_path, {"thing": {"thing/lib.so": elf(debug=b"d" * 900), "thing/text.so": b"no library"}}
    )
    (entry,) = strip_symbols(layer, "symbols")
    assert (entry.path, entry.before > entry.after > 0) == ("thing/lib.so", True)
    assert len((layer.site / "thing/lib.so").read_bytes()) == entry.after
    assert len(entry.digest) == 64
    assert list(strip_symbols(layer, "symbols")) == []


def test_a_ledger_is_read_as_it_was_written() -> None:
    entries = (
        LedgerEntry("a.py", 3, 0, "m.yaml: bases.ml.remove: a*", "a", "1"),
        LedgerEntry("b.so", 9, 5, "symbols", "b", "2 x", "ab" * 32),
    )
    ledger = Ledger(entries, sought=(".pyi",), without=(".pxd",))
    assert read_ledger(ledger_bytes(ledger)) == ledger
    assert read_ledger(ledger_bytes(Ledger())) == Ledger()
