"""What the step that makes a layer of packages leaves in it, of small wheels and with the real uv."""

import hashlib
import json
import marshal
import os
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.ran import ran
from tests.unit.inside.elves import elf
from tests.unit.trees import EPOCH, state
from tests.wheels import make_wheel, wheel_bytes
from uv import find_uv_bin

from slimbake.catalogue import rules
from slimbake.inside import FOLDER
from slimbake.inside.ledger import LedgerEntry, ledgers
from slimbake.inside.make import packages
from slimbake.inside.make import uv as uv_step
from slimbake.inside.make.collisions import SITE_HERE
from slimbake.inside.make.compiler import compile_modules
from slimbake.inside.step import StepError
from slimbake.layers.model import FORMAT

LINE = "services.yaml: bases.web.remove: keep/*.bin"
DATA = {"name": LINE, "remove": ["keep/*.bin"], "requested": True}
STUBS = {"name": "stubs", "remove": ["**/*.pyi"]}
HOOK = {"_slimbake_ledger.pth", "_slimbake_ledger.py"}


class Step:
    """What a step of a build finds, and the layer that it makes."""

    def __init__(self, root: Path) -> None:
        self.inside, self.prefix = root / "inside", root / "opt/prefix"
        self.site = self.prefix / SITE_HERE
        self.requirements: list[str] = []
        self.built_for: dict[str, list[str]] = {}  # own wheel -> kinds of machines

    def wheel(
        self, name: str, files: Mapping[str, bytes], unlisted: Mapping[str, bytes] = {}
    ) -> None:
        """A wheel that the layer has. `unlisted`: files that its RECORD does not name."""
        path = make_wheel(self.inside / "wheels", name, files=files)
        with zipfile.ZipFile(path, "a") as archive:
            for member, content in unlisted.items():
                archive.writestr(member, content)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        self.requirements += [f"{name}==1 \\", f"    --hash=sha256:{digest}"]

    def own(self, name: str, files: Mapping[str, bytes]) -> None:
        """A wheel of the repository."""
        make_wheel(self.inside / "own" / name, name, files=files)

    def make(self, *rules: Mapping[str, Any], bytecode: str = "rule") -> dict[str, Any]:
        """Make the layer; all that it holds."""
        recipe: dict[str, Any] = {"rules": rules, "bytecode": bytecode}
        recipe |= {"requirements": self.requirements, "built for": self.built_for}
        (self.inside / "layer.json").write_text(json.dumps(recipe))
        packages.make_layer()
        return state(self.prefix)

    def again(self) -> None:
        """Remove the layer."""
        self.prefix.rename(self.prefix.parents[1] / "earlier")

    @property
    def compiled(self) -> set[str]:
        """The modules with bytecode."""
        found = (path.relative_to(self.site) for path in self.site.rglob("*.pyc"))
        return {str(path.parents[1] / path.name.partition(".")[0]) for path in found}


@pytest.fixture
def step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Step:
    made = Step(tmp_path)
    (made.inside / "wheels").mkdir(parents=True)
    made.prefix.parent.mkdir()
    (made.inside / "uv").symlink_to(find_uv_bin())
    monkeypatch.setattr(uv_step, "INSIDE", made.inside)
    monkeypatch.setattr(packages, "INSIDE", made.inside)
    monkeypatch.setattr(packages, "RECIPE", made.inside / "layer.json")
    monkeypatch.setattr(packages, "PACKAGES", made.inside / "packages")
    monkeypatch.setattr(packages, "PREFIX", made.prefix)
    monkeypatch.setattr(packages, "TMP", tmp_path)
    offline = ("--no-index", "--find-links", str(made.inside / "wheels"))
    monkeypatch.setattr(packages, "OFFLINE", offline)
    return made


KEEP = {"keep/__init__.py": b"", "keep/data.bin": b"1234"}


def test_a_layer_is_its_wheels_with_bytecode_and_nothing_else(step: Step) -> None:
    step.wheel("keep", KEEP)
    found = step.make()
    assert {path.name for path in step.prefix.iterdir()} == {"lib"}
    assert {path.name for path in step.site.iterdir()} == {"keep", "keep-1.dist-info"}
    assert {path.name for path in (step.site / "keep-1.dist-info").iterdir()} == {
        *("INSTALLER", "METADATA", "RECORD", "REQUESTED", "WHEEL")
    }
    assert step.compiled == {"keep/__init__"}
    assert {time for _, time, _ in found.values()} == {EPOCH}


def test_what_layers_hold_has_not_changed_without_another_format(step: Step) -> None:
    """FORMAT is in every key: under one key, registries have layers of earlier slimbakes, too."""
    files = {"thing/a.py": b"a = 1\n", "thing/a.pyi": b"a: int\n", "thing/tests/b.py": b""}
    files |= {"thing/a.h": b"int a;\n", "thing/lib.a": b"", "thing/lib.so": elf(debug=b"code")}
    step.wheel("thing", files | dict.fromkeys(("thing/one.txt", "thing/two.txt"), b"2" * 5000))
    step.make(*(rule.as_json() for rule in rules()))
    digest = hashlib.sha256()
    for path in sorted((step.site / "thing").rglob("*")):
        if path.is_file() and path.suffix != ".pyc":  # Python's own
            status = path.lstat()
            digest.update(f"{path.name} {status.st_mode} {status.st_nlink}".encode())
            digest.update(path.read_bytes())
    digest.update(f"{sorted(step.compiled)} {[*ledgers(step.prefix)]}".encode())
    assert (FORMAT, digest.hexdigest()) == (
        2,
        "bb5b7f944d0b31ccc28ee8d72165ca4eb1263f7e726d43e24ff6f667a7b848e8",
    )


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (wheel_bytes("keep", "1", files={"keep/__init__.py": b"another"}), "uv pip failed"),
        (b"PK", r"keep-1-py3-none-any\.whl is damaged"),
    ],
    ids=["another hash", "damaged"],
)
def test_another_wheel_than_the_lock_s_is_refused(step: Step, content: bytes, why: str) -> None:
    step.wheel("keep", KEEP)
    (step.inside / "wheels/keep-1-py3-none-any.whl").write_bytes(content)
    with pytest.raises(StepError, match=why):
        step.make()


def test_wheels_for_other_machines_are_left_out(step: Step) -> None:
    step.wheel("keep", KEEP)
    make_wheel(step.inside / "wheels", "keep", tag="cp311-cp311-linux_riscv64", files={})
    step.make()
    assert (step.site / "keep/data.bin").read_bytes() == b"1234"


def test_a_builder_with_files_where_the_layer_goes_is_refused(step: Step) -> None:
    step.wheel("keep", KEEP)
    step.prefix.with_name("other").mkdir()
    with pytest.raises(StepError, match=r"choose another as externals\.builder"):
        step.make()


def test_a_layer_may_have_no_wheel_for_this_platform(step: Step) -> None:
    step.make()
    assert step.site.is_dir() and not [*step.site.iterdir()]


def test_scripts_name_the_python_of_the_prefix(step: Step) -> None:
    points = b"[console_scripts]\ntool = keep:main\n"
    step.wheel("keep", KEEP | {"keep-1.dist-info/entry_points.txt": points})
    step.make()
    first = (step.prefix / "bin/tool").read_text().splitlines()[0]
    assert first == f"#!{step.prefix}/bin/python"
    assert [path.name for path in (step.prefix / "bin").iterdir()] == ["tool"]


# --- rules and ledgers


def test_rules_come_before_bytecode_and_each_wheel_has_a_ledger(step: Step) -> None:
    step.wheel("keep", KEEP)
    step.wheel("leave-out", {"leave.py": b"12"})
    step.wheel("whole", {"whole.py": b""})
    step.make(DATA, {"name": "own", "remove": ["leave.py"]})
    assert not (step.site / "leave.py").exists() and "leave" not in step.compiled
    found = {ledger.file: ledger.entries for ledger in ledgers(step.prefix)}
    assert found == {
        "keep-1.json.gz": (LedgerEntry("keep/data.bin", 4, 0, LINE, "keep", "1"),),
        "leave-out-1.json.gz": (LedgerEntry("leave.py", 2, 0, "own", "leave-out", "1"),),
    }


@pytest.mark.parametrize(
    ("rule", "ours"),
    [
        (DATA, HOOK),
        ({**DATA, "remove": ["other/**"]}, set()),
        ({"name": "own", "remove": ["keep/*.bin"]}, set()),
    ],
)
def test_a_failed_import_can_name_the_manifest_s_line_where_it_took_something(
    step: Step, rule: dict[str, Any], ours: set[str]
) -> None:
    step.wheel("keep", KEEP)
    step.make(rule)
    assert HOOK & {path.name for path in step.site.iterdir()} == ours
    if ours:
        hook = step.site / "_slimbake_ledger.py"
        assert hook.read_bytes() == (FOLDER / "make/explain.py").read_bytes()
        assert "_slimbake_ledger" in step.compiled


def test_a_file_that_a_record_does_not_list_is_in_the_ledger(step: Step) -> None:
    step.wheel("keep", KEEP, unlisted={"keep/more.py": b"1"})
    step.make()
    (ledger,) = ledgers(step.prefix)
    assert ledger.unlisted == {"keep/more.py": hashlib.sha256(b"1").hexdigest()}


def test_a_file_that_is_lost_fails_the_step_with_its_name(
    step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    step.wheel("keep", KEEP)
    monkeypatch.setattr(packages, "link_identical", lambda paths: next(iter(paths)).unlink())
    with pytest.raises(StepError) as caught:
        step.make(STUBS)
    assert str(caught.value).splitlines()[1].startswith("lost: keep")


@pytest.mark.parametrize("rules", [(), (STUBS,)])
def test_identical_files_of_a_wheel_are_links_of_one_where_it_is_optimised(
    step: Step, rules: tuple[dict[str, Any], ...]
) -> None:
    files = {"keep/a.bin": b"x" * 5000, "keep/b.bin": b"x" * 5000, "keep/c.bin": b"y" * 5000}
    step.wheel("keep", files)
    step.make(*rules)
    links = [(step.site / name).stat().st_nlink for name in files]
    assert links == ([2, 2, 1] if rules else [1, 1, 1])
    assert {name: (step.site / name).read_bytes() for name in files} == files


# --- wheels of one layer that have one file


def test_modules_of_one_name_are_refused(step: Step) -> None:
    step.wheel("one", {"shared/__init__.py": b"1"})
    step.wheel("other", {"shared/__init__.py": b"2"})
    with pytest.raises(StepError) as caught:
        step.make()
    assert str(caught.value) == (
        f"packages collide: {SITE_HERE}/shared/__init__.py is in one-1-py3-none-any.whl and, with"
        " other contents, in other-1-py3-none-any.whl"
    )


def test_modules_of_one_name_may_be_equal(step: Step) -> None:
    step.wheel("one", {"shared/__init__.py": b"", "shared/one.py": b""})
    step.wheel("other", {"shared/__init__.py": b"", "shared/other.py": b""})
    step.make()
    assert step.compiled == {"shared/__init__", "shared/one", "shared/other"}


def test_of_another_file_that_several_have_that_of_the_last_wheel_by_name_stays(step: Step) -> None:
    for name, text in {"c": b"of c", "a": b"of a", "b": b"of b"}.items():
        step.wheel(name, {"LICENSE [1]": text, f"{name}.py": b""})
    step.make()
    assert (step.site / "LICENSE [1]").read_bytes() == b"of c"


# --- packages of the repository


def test_packages_of_the_repository_have_a_layer_of_their_own(step: Step) -> None:
    step.own("mine", {"mine/__init__.py": b"", "mine/stub.pyi": b""})
    packages.install_local()
    assert {path.name for path in step.site.iterdir()} == {"mine", "mine-1.dist-info"}
    assert (step.site / "mine/stub.pyi").exists(), "no rule makes it smaller"
    assert step.compiled == {"mine/__init__"}


def test_another_platform_s_version_is_not_installed(step: Step) -> None:
    machine = os.uname().machine
    for version, where in (("1", machine), ("2", "s390x")):
        path = make_wheel(
            step.inside / "wheels", "six", version, files={"six.py": version.encode()}
        )
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        named = f'six=={version} ; platform_machine == "{where}"'
        step.requirements += [f"{named} \\", f"    --hash=sha256:{digest}"]
    step.make()
    assert (step.site / "six.py").read_bytes() == b"1"


@pytest.mark.parametrize("here", [True, False])
def test_a_wheel_that_is_built_for_other_machines_is_not_installed(step: Step, here: bool) -> None:
    step.wheel("other", {"other/__init__.py": b""})
    step.own("slow", {"slow/__init__.py": b""})
    step.built_for["slow"] = [os.uname().machine if here else "s390x"]
    step.make()
    assert (step.site / "slow").exists() == here


# --- bytecode


@pytest.mark.parametrize(
    ("which", "compiled"),
    [
        ("rule", {"keep/__init__", "keep/late"}),
        ("all", {"keep/__init__", "keep/late", "keep/tests/case"}),
        ("none", set()),
    ],
)
def test_the_manifest_may_say_which_modules_have_bytecode(
    step: Step, which: str, compiled: set[str]
) -> None:
    files = {f"keep/{name}.py": b"" for name in ("__init__", "late", "tests/case")}
    step.wheel("keep", files)
    step.make(bytecode=which)
    assert step.compiled == compiled
    assert all((step.site / name).read_bytes() == b"" for name in files), "sources stay"


def test_bytecode_is_of_its_source_at_any_time_and_names_it_in_the_image(step: Step) -> None:
    step.wheel("keep", {"keep.py": b"def f(): ...\n"})
    step.make()
    (content,) = (path.read_bytes() for path in step.site.rglob("*.pyc"))
    assert content[4:8] == b"\1\0\0\0", "an unchecked hash"
    code = marshal.loads(content[16:])  # noqa: S302 - written by this test
    assert code.co_filename == str(step.site / "keep.py")


def test_a_module_with_a_syntax_error_is_kept_and_said_once(
    step: Step, capfd: pytest.CaptureFixture[str]
) -> None:
    step.wheel("keep", {"keep/__init__.py": b"", "keep/old.py": b"print 1\n"})
    step.make()
    assert (step.site / "keep/old.py").read_bytes() == b"print 1\n"
    assert step.compiled == {"keep/__init__"}
    said = [line for line in capfd.readouterr().out.splitlines() if "old.py" in line]
    assert said == [
        f"slimbake: warning: {SITE_HERE}/keep/old.py cannot be compiled: kept as source"
    ]


def test_equal_wheels_and_rules_are_an_equal_layer(step: Step) -> None:
    sources = {f"keep/m{n}.py": f"x = {n} * 'some text'\n".encode() for n in range(130)}
    step.wheel("keep", KEEP | sources)
    first = step.make(DATA)
    step.again()
    assert step.make(DATA) == first


def test_bytecode_does_not_depend_on_the_order_or_on_what_a_process_compiled_before(
    tmp_path: Path,
) -> None:
    text = (
        "import os\nNAMES = ('a', 'some text', os.sep)\ndef f(x): return x in ('a', 'some text')\n"
    )
    for number in range(70):
        (tmp_path / f"m{number}.py").write_text(f"{text}N = {number}\n")
    modules = sorted(tmp_path.glob("*.py"))
    code = (
        "import sys; from pathlib import Path\n"
        "from slimbake.inside.make.compiler import compile_modules\n"
        "compile_modules(map(Path, sys.argv[2:]), out=Path(sys.argv[1]))"
    )
    done = ran([sys.executable, "-c", code, tmp_path / "other", *reversed(modules)])
    assert done.returncode == 0, done.stderr
    for module in modules[::7]:
        compile(module.read_text(), "warm", "exec")
    compile_modules(modules, out=tmp_path / "one")
    files = [path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.pyc")]
    assert len(files) == len(modules)
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "other" / file).read_bytes()


def test_globs_of_a_service_compile_what_has_no_bytecode_yet(
    step: Step, capsys: pytest.CaptureFixture[str]
) -> None:
    step.wheel("keep", {f"keep/{name}.py": b"" for name in ("__init__", "tests/a", "tests/b")})
    step.make()
    step.prefix.rename(step.inside / "packages")
    packages.compile_more(["keep/**", "keap/**"])
    assert step.compiled == {"keep/tests/a", "keep/tests/b"}
    warned = capsys.readouterr().out.splitlines()[-1]
    assert warned == "slimbake: warning: bytecode: keap/** matches no module"
    files = {path.name for path in step.prefix.rglob("*") if path.is_file()}
    assert all(name.endswith(".pyc") for name in files), "sources lie below"
    assert {time for _, time, _ in state(step.prefix).values()} == {EPOCH}
