"""Passes on installed packages: what is removed, what is left, and that a build and a trial leave
the same.
"""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.inside.elves import elf
from tests.wheels import make_wheel, wheel_bytes

from slimbake.inside.build.layer import compile_modules
from slimbake.inside.ledger import LedgerEntry, ledger_bytes, ledger_entries, left_out
from slimbake.inside.passes import (
    LayerFiles,
    LayerPass,
    PassError,
    apply_passes,
    compiles,
    files_to_remove,
    packages_left_out,
    parse_pass,
)

PYC = "__pycache__/{}.cpython-311.pyc"
THING = {
    "thing/__init__.py": b"",
    "thing/data/big.bin": b"x" * 100,
    "thing/data/deep/small.bin": b"x",
    "thing/sub/__init__.py": b"",
    "thing/sub/module.py": b"value = 1\n",
    "thing/LICENSE": b"free",
}
OTHER = {"other/__init__.py": b"", "other/data/big.bin": b"y" * 10}


def prefix(
    root: Path, packages: Mapping[str, Mapping[str, bytes]], *, compiled: bool = False
) -> LayerFiles:
    """A prefix with these packages installed, each of version 1; `compiled`: each module has its
    bytecode.
    """
    site = root / "lib/python3.11/site-packages"
    site.mkdir(parents=True)
    for name, files in packages.items():
        _unpack(wheel_bytes(name, "1", files=files), site)
    if compiled:
        for module in [*site.rglob("*.py")]:
            pyc = module.parent / PYC.format(module.stem)
            pyc.parent.mkdir(exist_ok=True)
            pyc.write_bytes(b"bytecode")
    return looked(root)


def _unpack(wheel: bytes, site: Path) -> None:
    with tempfile.NamedTemporaryFile(suffix=".whl") as file:
        Path(file.name).write_bytes(wheel)
        with zipfile.ZipFile(file.name) as archive:
            archive.extractall(site)


def looked(root: Path) -> LayerFiles:
    return LayerFiles(root, root.rglob("*"))


def there(packages: LayerFiles) -> list[str]:
    """What lies in site-packages, less metadata."""
    found = (
        path.relative_to(packages.site).as_posix()
        for path in packages.site.rglob("*")
        if path.is_file()
    )
    return sorted(name for name in found if ".dist-info/" not in name)


def recorded(packages: LayerFiles, name: str) -> list[str]:
    with (packages.site / f"{name}-1.dist-info/RECORD").open() as file:
        return [row[0] for row in csv.reader(file)]


def on(*names: str) -> tuple[str, ...]:
    return names or ("thing",)


# --- remove and keep


def test_what_a_glob_names_is_removed_with_folders_that_are_empty_then(tmp_path: Path) -> None:
    packages = prefix(tmp_path, {"thing": THING})
    entries = apply_passes(
        packages, [LayerPass("thing.data", on(), remove=("thing/data/**",))], compiled=False
    )
    assert entries == [
        LedgerEntry("thing/data/big.bin", 100, 0, "thing.data", "thing", "1"),
        LedgerEntry("thing/data/deep/small.bin", 1, 0, "thing.data", "thing", "1"),
    ]
    assert there(packages) == [
        "thing/LICENSE",
        "thing/__init__.py",
        "thing/sub/__init__.py",
        "thing/sub/module.py",
    ]
    assert not (packages.site / "thing/data").exists() and (packages.site / "thing/sub").is_dir()


def test_what_is_kept_stays_and_so_does_its_folder(tmp_path: Path) -> None:
    packages = prefix(tmp_path, {"thing": THING})
    apply_passes(
        packages,
        [LayerPass("x", on(), remove=("**/*.bin",), keep=("thing/data/deep/**",))],
        compiled=False,
    )
    assert [name for name in there(packages) if name.endswith(".bin")] == [
        "thing/data/deep/small.bin"
    ]


def test_two_stars_are_any_number_of_folders_and_one_star_stays_in_its_own(tmp_path: Path) -> None:
    packages = prefix(tmp_path, {"thing": THING})
    assert files_to_remove(
        packages, LayerPass("x", on(), remove=("thing/*.bin", "thing/data/*")), False
    ) == ["thing/data/big.bin"]
    assert files_to_remove(packages, LayerPass("x", on(), remove=("**/module.py",)), False) == [
        "thing/sub/module.py"
    ]
    assert files_to_remove(
        packages, LayerPass("x", on(), remove=("**/thing/__init__.py",)), False
    ) == ["thing/__init__.py"]


def test_files_of_packages_that_a_pass_does_not_concern_are_not_touched(tmp_path: Path) -> None:
    packages = prefix(tmp_path, {"thing": THING, "other": OTHER})
    (packages.site / "nobody.bin").write_bytes(b"z")
    apply_passes(
        looked(tmp_path), [LayerPass("x", on("other"), remove=("**/*.bin",))], compiled=False
    )
    assert [name for name in there(packages) if name.endswith(".bin")] == [
        "nobody.bin",
        "thing/data/big.bin",
        "thing/data/deep/small.bin",
    ]
    assert recorded(packages, "thing")[1] == "thing/data/big.bin"


def test_files_of_a_layer_below_are_not_touched(tmp_path: Path) -> None:
    packages = prefix(tmp_path, {"below": OTHER, "thing": THING})
    new = [path for path in packages.files.values() if "thing" in path.as_posix()]
    apply_passes(
        LayerFiles(tmp_path, new),
        [LayerPass("x", on("below", "thing"), remove=("**/*.bin",))],
        compiled=False,
    )
    assert [name for name in there(packages) if name.endswith(".bin")] == ["other/data/big.bin"]


def test_files_outside_of_site_packages_are_named_by_the_prefix_and_owned_too(
    tmp_path: Path,
) -> None:
    packages = prefix(tmp_path, {"thing": THING})
    for path in ("share/man/man1/thing.1", "bin/thing"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("x")
    with (packages.site / "thing-1.dist-info/RECORD").open("a") as record:
        record.write("../../../share/man/man1/thing.1,,\n../../../bin/thing,,\n")
    entries = apply_passes(
        looked(tmp_path),
        [LayerPass("x", on(), remove=("/share/man/**", "bin/*"))],
        compiled=False,
    )
    assert [(entry.path, entry.package) for entry in entries] == [
        ("/share/man/man1/thing.1", "thing")
    ]
    assert not (tmp_path / "share/man").exists() and (tmp_path / "bin/thing").exists()


def test_a_link_is_removed_and_what_it_names_is_not(tmp_path: Path) -> None:
    packages = prefix(tmp_path, {"thing": {**THING, "thing/lib.so.1": b"so"}})
    (packages.site / "thing/lib.so").symlink_to("lib.so.1")
    with (packages.site / "thing-1.dist-info/RECORD").open("a") as record:
        record.write("thing/lib.so,,\n")
    apply_passes(looked(tmp_path), [LayerPass("x", on(), remove=("thing/lib.so",))], compiled=False)
    assert (
        not (packages.site / "thing/lib.so").is_symlink()
        and (packages.site / "thing/lib.so.1").exists()
    )


def test_records_stay_the_wheels_own(tmp_path: Path) -> None:
    packages = prefix(tmp_path, {"thing": THING})
    before = (packages.site / "thing-1.dist-info/RECORD").read_bytes()
    entries = apply_passes(
        packages,
        [LayerPass("x", on("thing"), remove=("thing/data/**", "thing/sub/**"))],
        compiled=False,
    )
    assert len(entries) == 4
    assert (packages.site / "thing-1.dist-info/RECORD").read_bytes() == before


@pytest.mark.parametrize(
    "glob", ["thing/LICENSE", "thing/*", "thing-1.dist-info/METADATA", "**/WHEEL", "**"]
)
def test_a_pass_that_would_remove_a_licence_or_metadata_cannot_be_applied(
    glob: str, tmp_path: Path
) -> None:
    packages = prefix(tmp_path, {"thing": THING})
    before = sorted(packages.files)
    with pytest.raises(
        PassError,
        match=r"x would remove metadata or a licence: thing.*; list these files under `keep:`",
    ):
        apply_passes(packages, [LayerPass("x", on(), remove=(glob,))], compiled=False)
    assert sorted(looked(tmp_path).files) == before


def test_what_two_passes_remove_is_reported_once_of_the_first(tmp_path: Path) -> None:
    packages = prefix(tmp_path, {"thing": THING})
    both = [
        LayerPass("a", on(), remove=("thing/data/deep/**",)),
        LayerPass("b", on(), remove=("thing/data/**",)),
    ]
    entries = apply_passes(packages, both, compiled=False)
    assert [(entry.by, entry.path) for entry in entries] == [
        ("a", "thing/data/deep/small.bin"),
        ("b", "thing/data/big.bin"),
    ]


# --- bytecode


def test_bytecode_goes_with_its_module_and_is_owned_by_it(tmp_path: Path) -> None:
    packages = prefix(tmp_path, {"thing": THING}, compiled=True)
    entries = apply_passes(
        packages, [LayerPass("x", on(), remove=("thing/sub/module.py",))], compiled=True
    )
    pyc = "thing/sub/" + PYC.format("module")
    assert entries == [
        LedgerEntry(pyc, 8, 0, "x", "thing", "1"),
        LedgerEntry("thing/sub/module.py", 10, 0, "x", "thing", "1"),
    ]


def test_bytecode_alone_is_met_by_no_glob_since_a_build_has_none_yet(tmp_path: Path) -> None:
    packages = prefix(tmp_path, {"thing": THING}, compiled=True)
    assert (
        files_to_remove(
            packages, LayerPass("x", on(), remove=("**/*.pyc", "**/__pycache__/**")), True
        )
        == []
    )
    kept = LayerPass("x", on(), remove=("thing/sub/**",), keep=("**/__pycache__/**",))
    assert "thing/sub/" + PYC.format("module") in files_to_remove(packages, kept, True)


def test_uncompiled_modules_stay_and_lose_their_bytecode(tmp_path: Path) -> None:
    packages = prefix(tmp_path, {"thing": THING}, compiled=True)
    bare = LayerPass("x", on(), uncompiled=("thing/sub/**",), keep=("thing/sub/__init__.py",))
    assert [entry.path for entry in apply_passes(packages, [bare], compiled=True)] == [
        "thing/sub/" + PYC.format("module")
    ]
    assert (packages.site / "thing/sub/module.py").exists()


def test_what_is_compiled_is_what_no_pass_leaves_bare(tmp_path: Path) -> None:
    packages = prefix(tmp_path, {"thing": THING, "other": {"thing_too/sub/module.py": b""}})
    bare = LayerPass("x", on(), uncompiled=("**/sub/**",), keep=("thing/sub/__init__.py",))
    compiled = compiles(packages, [bare, LayerPass("y", on(), remove=("z",))])
    assert [
        name for name, path in packages.files.items() if name.endswith(".py") and not compiled(path)
    ] == ["thing/sub/module.py"]


# --- drop


def test_a_dropped_package_is_removed_whole_where_it_is_installed(tmp_path: Path) -> None:
    packages = prefix(tmp_path, {"thing": THING, "other": OTHER}, compiled=True)
    drop = LayerPass("x", on("thing", "other"), drop=("thing", "not-here"))
    assert packages_left_out([drop]) == {"thing": "x"}
    entries = apply_passes(packages, [drop], compiled=True)
    assert {entry.package for entry in entries} == {"thing"} and len(entries) == 6 + 3 + 3
    assert sorted({name.partition("/")[0] for name in looked(tmp_path).files}) == [
        "other",
        "other-1.dist-info",
    ]
    assert sorted(path.name for path in packages.site.iterdir()) == ["other", "other-1.dist-info"]


def test_in_a_build_a_dropped_package_was_never_there_and_one_that_is_was_not_dropped(
    tmp_path: Path,
) -> None:
    packages = prefix(tmp_path, {"thing": THING})
    assert apply_passes(packages, [LayerPass("x", on(), drop=("thing",))], compiled=False) == []


def test_all_of_a_layer_can_be_dropped_and_site_packages_stays(tmp_path: Path) -> None:
    packages = prefix(tmp_path, {"thing": THING})
    apply_passes(packages, [LayerPass("x", on(), drop=("thing",))], compiled=True)
    assert [*packages.site.iterdir()] == []


# --- strip

ELF = elf(debug=b"d" * 500, symbols=b"s" * 48)


def test_every_elf_file_of_its_packages_is_stripped_no_matter_what_its_name(tmp_path: Path) -> None:
    files = {
        "thing/lib.so": ELF,
        "thing/program": ELF,
        "thing/small.so": elf(),
        "thing/text.so": b"INPUT(x)",
        "thing/kept.so": ELF,
    }
    packages = prefix(tmp_path / "prefix", {"thing": files, "other": {"o.so": ELF}})
    (packages.site / "thing/program").chmod(0o755)
    entries = apply_passes(
        packages, [LayerPass("s", on(), strip="debug", keep=("**/kept.so",))], compiled=False
    )
    stripped = hashlib.sha256((packages.site / "thing/lib.so").read_bytes()).hexdigest()
    after = (packages.site / "thing/lib.so").stat().st_size
    assert [(e.path, e.before, e.after, e.by, e.package, e.version, e.digest) for e in entries] == [
        ("thing/lib.so", len(ELF), after, "s", "thing", "1", stripped),
        ("thing/program", len(ELF), after, "s", "thing", "1", stripped),
    ]
    assert 490 < len(ELF) - after <= 500
    assert (packages.site / "thing/program").stat().st_mode & 0o777 == 0o755
    assert (packages.site / "o.so").read_bytes() == ELF
    assert (packages.site / "thing/kept.so").read_bytes() == ELF
    assert there(packages) == sorted([*files, "o.so"]), "nothing is left beside"
    assert recorded(packages, "thing")[:5] == list(files), "what was only changed stays recorded"


def test_what_a_pass_removes_no_other_strips_and_links_are_not_stripped(tmp_path: Path) -> None:
    packages = prefix(tmp_path / "prefix", {"thing": {f"thing/{n}.so": ELF for n in "ab"}})
    (packages.site / "thing/c.so").symlink_to("b.so")
    with (packages.site / "thing-1.dist-info/RECORD").open("a") as record:
        record.write("thing/c.so,,\n")
    both = [LayerPass("s", on(), strip="unneeded"), LayerPass("t", on(), remove=("**/a.so",))]
    entries = apply_passes(looked(tmp_path / "prefix"), both, compiled=False)
    assert [(entry.path, bool(entry.after)) for entry in entries] == [
        ("thing/a.so", False),
        ("thing/b.so", True),
    ]


# --- what no image can use

HEADERS = LayerPass("h", on(), remove=("**/*.h", "**/*.md"), unusable=("no-compiler", "unread"))
USED = {"thing/a.h": b"", "thing/b.h": b"", "thing/c.md": b"", "thing/d.md": b""}


def test_what_nothing_in_a_package_names_goes(tmp_path: Path) -> None:
    reads = {
        "thing/code.py": b'open("a.h"); glob("*.md")',
        "thing/e.py": b"path / 'd.md'",
        "thing/tests/test_x.py": b"'c.md b.h'",
    }
    packages = prefix(tmp_path, {"thing": USED | reads, "other": {"other.py": b"'b.h'"}})
    assert files_to_remove(packages, HEADERS, compiled=False) == ["thing/b.h", "thing/c.md"]
    forced = LayerPass("h", on(), remove=("**/*.h",))
    assert files_to_remove(packages, forced, compiled=False) == ["thing/a.h", "thing/b.h"]


@pytest.mark.parametrize(
    "path",
    [
        "ziglang/zig",
        "nvidia/cuda_nvrtc/lib/libnvrtc.so.12",
        "warp/bin/warp-clang.so",
        "thing/bin/x86_64-linux-gnu-gcc-14",
    ],
)
def test_beside_a_compiler_headers_stay(
    path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    packages = prefix(tmp_path, {"thing": USED, "other": {path: b""}})
    assert files_to_remove(packages, HEADERS, compiled=False) == []
    assert capsys.readouterr().out == f"slimbake: h takes nothing: {path} compiles\n"


@pytest.mark.parametrize("path", ["zigzag/zig.py", "thing/gcc", "lib/libclangs.txt", "bin/cco"])
def test_what_only_sounds_like_a_compiler_is_none(path: str, tmp_path: Path) -> None:
    assert prefix(tmp_path, {"thing": {path: b""}}).compilers == ()


@pytest.mark.parametrize(
    ("files", "stays"),
    [
        ({"thing/ext.so": b"..libthing.so.1\0.."}, True),
        ({"thing/load.py": b"CDLL('libthing.so.1')"}, True),
        ({"thing/ext.so": b"libthing_providers.so", "thing/load.py": b"libthing"}, False),
    ],
)
def test_a_library_that_something_may_load_stays(
    files: dict[str, bytes], stays: bool, tmp_path: Path
) -> None:
    library = {"thing/libthing.so.1.2": b"SONAME libthing.so.1"}
    packages = prefix(tmp_path, {"thing": library, "other": files})
    unread = LayerPass("l", on(), remove=("**/libthing.so*",), unusable=("unread",))
    assert (files_to_remove(packages, unread, compiled=False) == []) is stays


# --- what a step gets


def test_passes_are_read_as_they_are_written() -> None:
    said = (
        '{"about": "", "passes": [{"name": "a", "packages": ["x"], "remove": ["y"]}, {"name": "b",'
        ' "packages": ["x"]}]}'
    )
    assert [parse_pass(each) for each in json.loads(said)["passes"]] == [
        LayerPass("a", ("x",), remove=("y",)),
        LayerPass("b", ("x",)),
    ]


# --- a build and a trial

NAMES = st.sampled_from(["a", "b", "c", "tests"])
PATHS = st.builds(
    lambda folders, name, end: "/".join((*folders, name + end)),
    st.lists(NAMES, max_size=3),
    NAMES,
    st.sampled_from([".py", ".pyi", ".txt", ".so"]),
)
PART = st.sampled_from(["a", "b", "c", "*", "**", "__pycache__", "?"])
LAST = st.sampled_from(["*", "**", "*.py", "*.pyc", "a.py", "b.*", "**/__pycache__/**"])
GLOBS = st.lists(
    st.builds(lambda p, last: "/".join((*p, last)), st.lists(PART, max_size=2), LAST), max_size=2
)
PASS = st.builds(
    lambda concerns, remove, keep, drop, bare: LayerPass(
        "p", tuple(concerns), tuple(remove), (*keep, "*.dist-info/**"), tuple(drop), "", tuple(bare)
    ),
    st.sets(st.sampled_from(["one", "two"]), min_size=1),
    GLOBS,
    GLOBS,
    st.sets(st.just("two")),
    GLOBS,
)


def _left(root: Path) -> dict[str, bytes]:
    """Files, and folders that hold nothing; of bytecode that it is there."""
    return {
        path.relative_to(root).as_posix(): (
            b"" if path.is_dir() or path.suffix == ".pyc" else path.read_bytes()
        )
        for path in root.rglob("*")
        if not path.is_dir() or not any(path.iterdir())
    }


def _compiled(paths: Sequence[Path]) -> None:
    """As `compile_modules`, in this process."""
    for path in paths:
        if path.suffix == ".py" and "tests" not in path.parts:
            (path.parent / "__pycache__").mkdir(exist_ok=True)
            (path.parent / PYC.format(path.stem)).write_bytes(b"bytecode")


@settings(max_examples=60)
@given(st.lists(PATHS, min_size=1, max_size=8, unique=True), st.lists(PASS, max_size=3))
def test_a_trial_leaves_exactly_the_files_that_a_build_leaves(
    paths: list[str], carried: list[LayerPass]
) -> None:
    files: dict[str, dict[str, bytes]] = {"one": {}, "two": {}}
    for number, path in enumerate(paths):
        files["one" if number % 2 else "two"][path] = b"x"
    with tempfile.TemporaryDirectory() as scratch:
        build, trial = Path(scratch, "build"), Path(scratch, "trial")
        dropped = packages_left_out(carried)
        packages = prefix(
            build, {name: held for name, held in files.items() if name not in dropped}
        )
        apply_passes(packages, carried, compiled=False)
        _compiled([*filter(compiles(packages, carried), packages.files.values())])
        _compiled([*prefix(trial, files).files.values()])
        apply_passes(looked(trial), carried, compiled=True)
        assert _left(trial) == _left(build)


def test_the_property_s_own_compiler_compiles_what_builds_compile(tmp_path: Path) -> None:
    site = tmp_path / "site"
    for path in ("a.py", "b/c.py", "b/tests/d.py", "e.pyi"):
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).touch()
    shutil.copytree(site, tmp_path / "other")
    _compiled([*site.rglob("*")])
    compile_modules((tmp_path / "other").rglob("*"))
    names = [
        sorted(path.parent.parent.name for path in root.rglob("*.pyc"))
        for root in (site, tmp_path / "other")
    ]
    assert names == [["b", "site"], ["b", "other"]]


# --- the ledger

ENTRY = st.builds(
    LedgerEntry,
    st.text("ab/.ü"),
    st.integers(0, 9),
    st.integers(0, 9),
    st.sampled_from(["p", "q.r"]),
    st.sampled_from(["", "one", "two-three"]),
    st.sampled_from(["", "1", "2.0+cpu"]),
)


@given(st.lists(ENTRY, max_size=8))
def test_a_ledger_is_read_as_it_was_written_and_its_bytes_know_no_order_and_no_time(
    entries: list[LedgerEntry],
) -> None:
    written = ledger_bytes(entries)
    assert sorted(ledger_entries(written)) == sorted(entries)
    assert ledger_bytes(reversed(entries)) == written
    assert written[4:8] == bytes(4), "gzip holds a time there"


def test_what_is_left_out_of_a_layer_is_reported_as_its_wheel_would_have_laid_it(
    tmp_path: Path,
) -> None:
    wheels = [
        make_wheel(tmp_path, "Not_Here", "2.0", files={"nothere.py": b"12345"}),
        make_wheel(tmp_path, "other"),
    ]
    entries = [*left_out(wheels, {"not-here": "p"})]
    assert entries[0] == LedgerEntry("nothere.py", 5, 0, "p", "not-here", "2.0")
    assert [entry.path for entry in entries[1:]] == [
        f"Not_Here-2.0.dist-info/{name}" for name in ("METADATA", "WHEEL", "RECORD")
    ]
