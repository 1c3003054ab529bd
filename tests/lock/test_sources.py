"""Packages that no index has as a wheel, and versions that other files pin: from the manifest to
locks.
"""

import io
import json
import tarfile
from pathlib import Path

import pytest
from tests.commits import commit, git
from tests.index import Index, serving
from tests.lock.conftest import Repo
from tests.ran import ran
from tests.wheels import sdist_bytes, wheel_bytes

from slimbake.project import load


def project(name: str, version: str, *requires: str) -> str:
    return (
        '[build-system]\nrequires = ["setuptools>=61"]\n'
        f'[project]\nname = "{name}"\nversion = "{version}"\n'
        f"dependencies = {json.dumps(requires)}\n"
    )


@pytest.fixture
def upstream(tmp_path: Path) -> Path:
    """A repository elsewhere, with a package `tool` that needs `idna`."""
    folder = tmp_path / "upstream"
    commit(folder, {"pyproject.toml": project("tool", "1.2", "idna"), "tool.py": "v = 1\n"})
    return folder


@pytest.fixture
def plain(index: Index) -> Index:
    index.add("idna", "3.10")
    index.add("setuptools", "80")
    return index


# Git


def test_a_git_source_is_pinned_to_its_commit(repo: Repo, plain: Index, upstream: Path) -> None:
    at = git(upstream, "rev-parse", "HEAD")
    repo.lock("[]", api=f"['tool @ git+file://{upstream}@main']")
    assert repo.pins("api") == ["idna==3.10"] and repo.pins("wheel-tool") == ["setuptools==80"]
    lock = repo.locked()["api.txt"]
    assert f"# built from git+file://{upstream}@{at}: tool==1.2\n" in lock and "via tool" in lock
    made = load(repo.root / "services.yaml").plan
    layer = made.target("layer_api")
    assert layer.recipe and layer.recipe.layer
    assert layer.recipe.layer.wheels == ("wheel-tool",)
    assert "wheel-tool" in layer.needs
    assert repo.run("lock", "--check").code == 0


def test_a_branch_that_moves_waits_for_an_upgrade(repo: Repo, plain: Index, upstream: Path) -> None:
    repo.lock("[]", api=f"['tool @ git+file://{upstream}@main']")
    before = repo.locked()
    newer = commit(upstream, {"pyproject.toml": project("tool", "1.3")})
    assert repo.run("lock").code == 0 and repo.locked() == before
    # Another requirement makes the lock stale, and leaves the commit where it is.
    plain.add("rich", "1")
    repo.fleet("[]", api=f"['tool @ git+file://{upstream}@main', rich]")
    assert repo.run("lock").code == 0 and newer not in repo.locked()["api.txt"]
    assert repo.run("lock", "--upgrade", "tool").code == 0
    assert newer in repo.locked()["api.txt"] and "tool==1.3" in repo.locked()["api.txt"]


def test_a_git_source_that_is_gone_is_named(repo: Repo, plain: Index, tmp_path: Path) -> None:
    repo.fleet("[]", api=f"['tool @ git+file://{tmp_path}/gone@v1']")
    done = repo.run("lock")
    assert done.code == 7
    assert f"the Git source of tool @ git+file://{tmp_path}/gone@v1 cannot be had" in done.stderr
    assert "`git ls-remote` of that address shows" in done.stderr


def test_a_commit_that_is_gone_is_named(repo: Repo, plain: Index, upstream: Path) -> None:
    repo.lock("[]", api=f"['tool @ git+file://{upstream}']")
    at = git(upstream, "rev-parse", "HEAD")
    ran(["rm", "-rf", repo.wheelhouse, upstream], check=True)
    done = repo.run("lock", "--fetch")
    assert done.code == 7 and f"Git cannot get the commit {at} of file://{upstream}" in done.stderr


def test_a_commit_is_kept_in_the_wheelhouse(repo: Repo, plain: Index, upstream: Path) -> None:
    commit(upstream, {"packages/part/pyproject.toml": project("part", "2")})
    address = f"git+file://{upstream}#subdirectory=packages/part"
    repo.lock("[]", api=f"['part @ {address}']")
    ran(["rm", "-rf", repo.wheelhouse], check=True)
    assert repo.run("lock", "--fetch").code == 0
    (held,) = repo.wheelhouse.glob("sha256/git-*/part-*.tar.gz")
    listed = ran(["tar", "tzf", held], check=True)
    assert listed.stdout.split() == ["source/pyproject.toml"]
    first = held.read_bytes()
    ran(["rm", "-rf", repo.wheelhouse], check=True)
    repo.run("lock", "--fetch")
    assert held.read_bytes() == first


def test_what_a_git_source_needs_from_git_is_pinned_and_built_too(
    repo: Repo, plain: Index, upstream: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    commit(other, {"pyproject.toml": project("over", "1", f"tool @ git+file://{upstream}")})
    repo.lock("[]", api=f"['over @ git+file://{other}']")
    at = git(upstream, "rev-parse", "HEAD")
    assert f"# built from git+file://{upstream}@{at}: tool==1.2\n" in repo.locked()["api.txt"]
    assert {"wheel-over.txt", "wheel-tool.txt"} <= repo.locked().keys()
    assert repo.run("lock", "--check").code == 0


BACKEND = """
from pathlib import Path


def prepare_metadata_for_build_wheel(folder, config_settings=None):
    path = Path(folder, "tool-1.2.dist-info")
    path.mkdir()
    text = "Metadata-Version: 2.1\\nName: tool\\nVersion: 1.2\\nRequires-Dist: idna\\n"
    (path / "METADATA").write_text(text)
    return path.name
"""


def test_what_a_git_source_needs_from_git_may_tell_its_version_only_to_who_builds_it(
    repo: Repo, plain: Index, upstream: Path, tmp_path: Path
) -> None:
    system = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    text = f'{system}[project]\nname = "tool"\ndynamic = ["version", "dependencies"]\n'
    commit(upstream, {"pyproject.toml": text, "backend.py": BACKEND})
    other = tmp_path / "other"
    commit(other, {"pyproject.toml": project("over", "1", f"tool @ git+file://{upstream}")})
    repo.lock("[]", api=f"['over @ git+file://{other}']")
    at = git(upstream, "rev-parse", "HEAD")
    assert f"# built from git+file://{upstream}@{at}: tool==1.2\n" in repo.locked()["api.txt"]


# sdists


def test_packages_without_wheels_are_built_from_sources(repo: Repo, plain: Index) -> None:
    sha256 = plain.add_sources("old", "0.6", ["idna"])
    plain.add("needs", "1", ["old"])
    done = repo.lock("[needs]", api="[]")
    assert "old 0.6 is built from old-0.6.tar.gz, in a stage of its own" in done.stderr
    origin = f"# via needs\n# built from old-0.6.tar.gz#sha256={sha256}: old==0.6\n"
    assert origin in repo.locked()["base-web.txt"]
    assert repo.pins("base-web") == ["idna==3.10", "needs==1"]
    assert repo.run("lock", "--check").code == 0
    ran(["rm", "-rf", repo.wheelhouse], check=True)
    assert repo.run("lock", "--fetch").code == 0
    assert "old-0.6.tar.gz" in repo.held()


@pytest.mark.parametrize("asked", ["['idna', 'setuptools']", "'idna'", "('idna>=3',)"])
def test_what_a_setup_py_has_fetched_before_it_builds_is_locked(
    asked: str, repo: Repo, plain: Index
) -> None:
    setup = (
        f"from setuptools import setup\nsetup(name='old', version='1', setup_requires={asked})\n"
    )
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        about = "Metadata-Version: 2.2\nName: old\nVersion: 1\n"
        for name, text in {"setup.py": setup, "PKG-INFO": about}.items():
            member = tarfile.TarInfo(f"old-1/{name}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    plain.publish("old", "old-1.tar.gz", packed.getvalue())
    plain.add("wheel", "1")
    repo.lock("[old]", api="[]")
    (built,) = (name for name in repo.locked() if name.startswith("wheel-old"))
    assert repo.pins(built.removesuffix(".txt")) == ["idna==3.10", "setuptools==80", "wheel==1"]


def test_damaged_sources_are_fetched_again(repo: Repo, plain: Index) -> None:
    plain.add_sources("old", "0.6")
    repo.lock("[old]")
    held = repo.held()["old-0.6.tar.gz"]
    good = held.read_bytes()
    held.write_bytes(bytes(len(good)))
    done = repo.run("lock", "--fetch")
    assert done.code == 0 and "old-0.6.tar.gz is damaged" in done.stderr
    assert held.read_bytes() == good


def test_a_wheel_is_taken_before_newer_sources(repo: Repo, plain: Index) -> None:
    plain.add("both", "1")
    plain.add_sources("both", "2")
    repo.lock("[both]")
    assert repo.pins("base-web") == ["both==1"]


def test_sources_of_several_services_are_built_once(repo: Repo, plain: Index) -> None:
    plain.add_sources("old", "0.6")
    rows = "".join(f"  {n}: {{context: {n}, requirements: [old, idna]}}\n" for n in ("a", "b"))
    repo.write(f"services:\n{rows}", {"a/app.py": "", "b/app.py": ""})
    assert repo.run("lock").code == 0
    assert repo.run("lock", "--check").code == 0
    made = load(repo.root / "services.yaml")
    assert [each.name for each in made.fleet.packages] == ["old"]
    [layer] = made.layering.layers
    assert layer.wheels == ("wheel-old",)


def test_a_lock_of_sources_that_is_lost_is_stale_and_made_again(repo: Repo, plain: Index) -> None:
    plain.add_sources("old", "0.6")
    repo.lock("[old]")
    before = repo.locked()
    (repo.root / "bake/locks/wheel-old.txt").unlink()
    done = repo.run("lock", "--check")
    assert done.code == 4
    assert "no lock says what old of bake/locks/base-web.txt is built from" in done.stderr
    assert repo.run("lock").code == 0
    assert repo.locked() == before


def test_sources_go_when_nothing_needs_them_any_more(repo: Repo, plain: Index) -> None:
    plain.add_sources("old", "0.6")
    repo.lock("[old]")
    assert "wheel-old.txt" in repo.locked()
    repo.lock("[idna]")
    assert "wheel-old.txt" not in repo.locked()


def test_what_builds_sources_is_installed_in_no_image(repo: Repo, plain: Index) -> None:
    plain.add_sources("old", "0.6")
    base = "bases: {web: {requirements: [old]}}\n"
    builds = "services: {api: {base: web, context: api, wheels: {system: [gcc]}}}\n"
    repo.write(base + builds, {"api/app.py": ""})
    (repo.root / "bake/locks").mkdir(parents=True)
    done = repo.run("lock")
    assert "locking wheel-old.system: gcc, libc6-dev" in done.stderr  # which needs an engine here
    repo.write(f"{base}services: {{api: {{base: web, context: api}}}}\n")
    assert repo.run("lock").code == 0
    repo.write(base + builds)
    made = load(repo.root / "services.yaml").plan
    wheel, api = made.target("wheel-old").recipe, made.target("api").recipe
    assert wheel and api
    assert (wheel.system, api.system) == (("gcc", "libc6-dev"), ())


# addresses


def test_a_wheel_at_an_address_is_locked_by_its_hash(repo: Repo, plain: Index) -> None:
    plain.files["far-1.5-py3-none-any.whl"] = wheel_bytes("far", "1.5", ["idna"])
    address = f"{plain.url.removesuffix('/simple')}/files/far-1.5-py3-none-any.whl"
    repo.lock("[]", api=f"['{address}']")
    assert f"# built from {address}#sha256=" in repo.locked()["api.txt"]
    assert repo.pins("api") == ["idna==3.10"] and repo.pins("wheel-far") == []
    plain.files["far-1.5-py3-none-any.whl"] = wheel_bytes("far", "1.5")
    ran(["rm", "-rf", repo.wheelhouse], check=True)
    done = repo.run("lock", "--fetch")
    assert done.code == 7 and "the sources of far 1.5 cannot be had" in done.stderr


def test_sources_at_an_address_are_built(repo: Repo, plain: Index) -> None:
    plain.files["v2.tar.gz"] = sdist_bytes("near", "2")
    address = f"{plain.url.removesuffix('/simple')}/files/v2.tar.gz"
    repo.lock("[]", api=f"['near @ {address}']")
    assert ": near==2\n" in repo.locked()["api.txt"]
    assert repo.pins("wheel-near") == ["setuptools==80"]


# what files pin


def test_constraints_limit_versions_and_require_nothing(repo: Repo, plain: Index) -> None:
    for version in ("1", "2"):
        plain.add("deep", version)
    plain.add("top", "1", ["deep"])
    repo.fleet("[]", api="requirements.txt")
    files = {"requirements.txt": "-c limits.txt\ntop\n", "limits.txt": "deep<2\nunused==5\n"}
    for name, text in files.items():
        (repo.root / "api" / name).write_text(text)
    assert repo.run("lock").code == 0
    assert repo.pins("api") == ["deep==1", "top==1"]
    (repo.root / "api/limits.txt").write_text("deep\n")
    assert repo.run("lock", "--check").code == 4


@pytest.mark.parametrize(
    ("name", "lock"),
    [
        ("poetry.lock", '[[package]]\nname = "httpx"\nversion = "0.27"\n'),
        ("uv.lock", '[[package]]\nname = "httpx"\nversion = "0.27"\nsource = { registry = "x" }\n'),
    ],
)
def test_a_base_breaks_what_a_lock_pins(name: str, lock: str, repo: Repo, plain: Index) -> None:
    for version in ("0.27", "0.28"):
        plain.add("httpx", version)
    repo.fleet('["httpx>=0.28"]', api="pyproject.toml")
    (repo.root / "api/pyproject.toml").write_text(project("api", "1", "httpx"))
    (repo.root / "api" / name).write_text(lock)
    done = repo.run("lock")
    assert done.code == 2
    assert "no solution for api, which takes the versions of base-web\n" in done.stderr
    assert f"(asked for in the manifest, api/pyproject.toml, api/{name})" in done.stderr
    repo.fleet("[]", api="pyproject.toml")
    assert repo.run("lock").code == 0 and repo.pins("api") == ["httpx==0.27"]


def test_locks_of_two_services_that_differ_are_both_kept(repo: Repo, plain: Index) -> None:
    services = {"api": ("poetry.lock", "0.27"), "web": ("uv.lock", "0.28")}
    for name, (lock, version) in services.items():
        plain.add("httpx", version)
        source = 'source = { registry = "x" }\n' if lock == "uv.lock" else ""
        text = f'[[package]]\nname = "httpx"\nversion = "{version}"\n{source}'
        (repo.root / name).mkdir(exist_ok=True)
        (repo.root / name / "pyproject.toml").write_text(project(name, "1", "httpx"))
        (repo.root / name / lock).write_text(text)
    entries = (f"  {n}: {{context: {n}, requirements: pyproject.toml}}\n" for n in services)
    repo.write(f"services:\n{''.join(entries)}", {})
    assert repo.run("lock").code == 0
    assert (repo.pins("api"), repo.pins("web")) == (["httpx==0.27"], ["httpx==0.28"])


PINNED = '[[package]]\nname = "httpx"\nversion = "{}"\nsource = {{ registry = "x" }}\n'


def test_the_lock_of_a_service_wins_over_those_of_its_libraries(repo: Repo, plain: Index) -> None:
    for version in ("0.26", "0.27", "0.28"):
        plain.add("httpx", version)
    files = {
        "api/pyproject.toml": project("api", "1", "httpx"),
        "api/uv.lock": PINNED.format("0.28"),
        "libs/one/pyproject.toml": project("one", "1", "httpx"),
        "libs/one/uv.lock": PINNED.format("0.27"),
        "libs/two/pyproject.toml": project("two", "1", "httpx"),
        "libs/two/uv.lock": PINNED.format("0.26"),
    }
    entry = "services:\n  api: {{context: api, requirements: [{}], start: none}}\n"
    repo.write(entry.format("api/pyproject.toml, ./libs/one, ./libs/two"), files)
    assert repo.run("lock").code == 0
    assert repo.pins("api") == ["httpx==0.28"]
    repo.write(entry.format("./libs/one, ./libs/two"), files)
    assert repo.run("lock", "--upgrade").code == 0
    assert repo.pins("api") == ["httpx==0.27"], "of two libraries, the first says it"


def test_a_library_and_a_service_with_conflicting_locks_fail(repo: Repo, plain: Index) -> None:
    for version in ("0.27", "0.28"):
        plain.add("httpx", version)
    files = {
        "api/pyproject.toml": project("api", "1", "httpx"),
        "api/uv.lock": PINNED.format("0.28"),
        "libs/one/pyproject.toml": project("one", "1", "httpx<0.28"),
    }
    entry = "  api: {context: api, requirements: [api/pyproject.toml, ./libs/one], start: none}\n"
    repo.write(f"services:\n{entry}", files)
    done = repo.run("lock")
    assert done.code == 2
    assert "api/uv.lock" in done.stderr and "libs/one/pyproject.toml" in done.stderr


def test_a_file_that_the_requirements_allow_by_no_hash_is_refused(repo: Repo, plain: Index) -> None:
    good = plain.add("httpx", "1")
    repo.fleet("[]", api="requirements.txt")
    file = repo.root / "api/requirements.txt"
    file.write_text(f"httpx==1 \\\n    --hash=sha256:{'0' * 64} \\\n    --hash=sha256:{good}\n")
    assert repo.run("lock").code == 0
    file.write_text(f"httpx==1 --hash=sha256:{'0' * 64}\n")
    done = repo.run("lock")
    assert done.code == 2
    assert "httpx-1-py3-none-any.whl has sha256" in done.stderr
    assert "none of the hashes in api/requirements.txt:1" in done.stderr


def test_pre_allows_what_is_no_release_yet(repo: Repo, plain: Index) -> None:
    for version in ("1", "2rc1"):
        plain.add("httpx", version)
    repo.fleet("[]", api="requirements.txt")
    (repo.root / "api/requirements.txt").write_text("httpx\n")
    repo.run("lock")
    assert repo.pins("api") == ["httpx==1"]
    (repo.root / "api/requirements.txt").write_text("--pre\nhttpx\n")
    done = repo.run("lock", "--upgrade")
    assert done.code == 0
    assert "api/requirements.txt: --pre allows pre-releases of all that is" in done.stderr
    assert repo.pins("api") == ["httpx==2rc1"]


def test_an_index_that_requirements_name_is_this_machine_s_or_the_manifest_says_whose(
    repo: Repo, plain: Index
) -> None:
    repo.fleet("[]", api="requirements.txt", other="[idna]")
    (repo.root / "api/requirements.txt").write_text(
        f"--index-url {plain.url}\n"
        "--extra-index-url https://user:secret@packages.example.com/simple\n"
        "--extra-index-url https://download.pytorch.org/whl/cu128\n"
        "--extra-index-url https://pypi.org/simple/\n"
        "--trusted-host x\nidna\n"
    )
    done = repo.run("lock")
    assert done.code == 2 and "secret" not in done.stderr
    assert (
        "api/requirements.txt:3: --extra-index-url https://download.pytorch.org/whl/cu128 chooses a"
        " build of torch: say `torch: cu128` in the manifest\n"
    ) in done.stderr
    assert (
        "slimbake: api/requirements.txt:2: --extra-index-url"
        " https://packages.example.com/simple: this machine does not use that index, and its"
        " packages would come from others\n"
        "locked all the same: base-web, other\n"
        "  if it has packages that you require: UV_INDEX=https://packages.example.com/simple\n"
        "  else remove the line, or say that nothing comes from there:"
        " `lock: {indexes: {https://packages.example.com/simple: []}}`\n"
    ) in done.stderr
    assert "idna" not in "".join(repo.locked().get("api.txt", ""))
    manifest = repo.root / "services.yaml"
    says = "lock: {indexes: {https://packages.example.com/simple/: []}}\n"
    manifest.write_text(says + manifest.read_text())
    repo.done("lock")
    assert repo.pins("api") == ["idna==3.10"]


def test_a_package_that_another_index_gives_than_the_manifest_says_is_refused(
    repo: Repo, plain: Index
) -> None:
    """A name of a company's own, which somebody has published elsewhere."""
    plain.add("acme-tools", "9")
    plain.add("needs-it", "1", ["acme-tools"])
    with serving() as own:
        own.add("acme-tools", "1")
        repo.fleet("[]", api="[needs-it]")
        manifest = repo.root / "services.yaml"
        says = f"lock: {{indexes: {{{own.url}: [acme_*]}}}}\n"
        manifest.write_text(says + manifest.read_text())
        done = repo.run("lock")
        assert done.code == 2
        assert (
            f"api: acme-tools 9 comes from {plain.url}, and the manifest has it from {own.url}\n"
        ) in done.stderr
        assert f"UV_INDEX={own.url}\n" in done.stderr
        repo.monkeypatch.setenv("UV_INDEX", own.url.replace("//", "//user:secret@"))
        repo.done("lock")
        assert repo.pins("api") == ["acme-tools==1", "needs-it==1"]


def test_a_package_that_no_index_has_is_named_with_the_nearest_that_is_known(
    repo: Repo, index: Index
) -> None:
    index.add("requests", "2")
    index.add("needs-none", "1", ["no-such-package"])
    repo.fleet("[requests]", api="[reqeusts]", other="[needs-none]")
    done = repo.run("lock")
    assert done.code == 2
    assert "no index has 'reqeusts', which api needs\n" in done.stderr
    assert "did you mean 'requests' in place of 'reqeusts'?\n" in done.stderr
    assert "no index has 'no-such-package', which other needs\n" in done.stderr
    assert "all versions of needs-none depend on no-such-package" in " ".join(done.stderr.split())


# local packages


def test_a_local_package_is_locked_with_those_that_it_needs(repo: Repo, plain: Index) -> None:
    plain.add("rich", "1")
    sources = "[tool.uv.sources]\n{0} = {{ path = '../{0}', editable = true }}\n"
    files = {
        "libs/top/pyproject.toml": project("top", "1", "mid[fast]") + sources.format("mid"),
        "libs/mid/pyproject.toml": project("mid", "1", "idna")
        + "[project.optional-dependencies]\nfast = ['low']\n"
        + sources.format("low"),
        "libs/low/pyproject.toml": project("low", "1", "rich"),
    }
    repo.write("services:\n  api: {context: libs, requirements: [libs/top], start: none}\n", files)
    repo.done("lock")
    assert repo.pins("api") == ["idna==3.10", "rich==1"]
    recipe = load(repo.root / "services.yaml").plan.target("api").recipe
    assert recipe and [*dict(recipe.local)] == ["low", "mid", "top"]


def test_an_extra_that_names_another_keeps_the_marker(repo: Repo, plain: Index) -> None:
    plain.add("rich", "1")
    extras = """
[project.optional-dependencies]
all = ["top[screen]", "top[old]; python_version < '3'"]
screen = ["rich; python_version > '3'"]
old = ["no-such-package; sys_platform == 'linux'", "top[screen]"]
"""
    files = {"top/pyproject.toml": project("top", "1", "idna") + extras}
    repo.write(
        'services:\n  api: {context: top, requirements: ["./top[all]"], start: none}\n', files
    )
    repo.done("lock")
    assert repo.pins("api") == ["idna==3.10", "rich==1"]
