"""Builds of torch: each variant's lock takes its own, from wherever the machine's settings lead."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from platform import machine

import pytest
from tests.index import Index, serving
from tests.lock.conftest import Repo
from tests.wheels import make_wheel
from uv import find_uv_bin

from slimbake.inside import fetch

AMD64, ARM64 = "cp311-cp311-manylinux_2_28_x86_64", "cp311-cp311-manylinux_2_28_aarch64"
ANY = "py3-none-any"
THREE = """\
bases:
  web: {requirements: [frame]}
  ml:
    extends: web
    requirements: [torch]
    variants: {cpu: {torch: cpu}, cuda: {torch: cu128}, index: {torch: cuda}}
services:
  api: {base: web, context: app}
  rank: {base: ml, context: app, requirements: [scores]}
"""


def build(index: Index, version: str, local: str = "", tag: str = AMD64) -> None:
    """A build of torch with what it requires: CUDA's packages, unless it is for CPUs."""
    cuda = [] if local == "cpu" else ["nvidia-cudnn-cu12"]
    index.add("torch", f"{version}+{local}" if local else version, cuda, tag=tag)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that the machine's settings name."""
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "wheels"))
    return tmp_path / "wheels"


def wheel(folder: Path, version: str, local: str, tag: str = AMD64) -> None:
    cuda = [] if local == "cpu" else ["nvidia-cudnn-cu12"]
    make_wheel(folder, "torch", f"{version}+{local}", requires=cuda, tag=tag)


@pytest.fixture(autouse=True)
def around(index: Index) -> None:
    for name, requires in {"frame": (), "scores": ("torch",), "nvidia-cudnn-cu12": ()}.items():
        index.add(name, "1", requires)


@pytest.fixture
def other() -> Iterator[Index]:
    """A second index, as a mirror of one of PyTorch's is."""
    with serving() as made:
        yield made


def locked(repo: Repo, manifest: str) -> None:
    repo.write(manifest, {"app/app.py": ""})
    repo.done("lock")


def test_each_variant_s_lock_takes_its_own_build(repo: Repo, index: Index, folder: Path) -> None:
    for local in ("cpu", "cu126", "cu128"):
        wheel(folder, "2.0", local)
    build(index, "2.1")  # newer, on PyPI's side only
    locked(repo, THREE)
    assert repo.pins("base-ml") == ["torch==2.0+cpu"]
    assert repo.pins("base-ml-cuda") == ["nvidia-cudnn-cu12==1", "torch==2.0+cu128"]
    assert repo.pins("base-ml-index") == ["nvidia-cudnn-cu12==1", "torch==2.1"]
    for name in ("rank", "rank-cuda", "rank-index"):
        assert repo.pins(name) == ["scores==1"]
    web = {name for name in repo.locked() if name.startswith("base-web")}
    assert web == {f"base-web{variant}.txt" for variant in ("", "-cuda", "-index")}


def test_variants_are_locked_each_on_its_own(repo: Repo, index: Index, folder: Path) -> None:
    build(index, "2.0")
    for local in ("cpu", "cu128"):
        wheel(folder, "2.0", local)
    locked(repo, THREE)
    assert repo.pins("base-ml-index") == ["nvidia-cudnn-cu12==1", "torch==2.0"], "the index's own"
    before = repo.locked()
    wheel(folder, "3.0", "cu128")
    locked(repo, THREE.replace("{torch: cu128}", "{torch: cu128, requirements: ['torch>=3']}"))
    changed = {name for name, text in repo.locked().items() if before[name] != text}
    assert changed == {"base-ml-cuda.txt", "inputs.json"}
    assert repo.pins("base-ml-cuda") == ["nvidia-cudnn-cu12==1", "torch==3.0+cu128"]


@pytest.mark.parametrize("setting", ["UV_INDEX", "UV_EXTRA_INDEX_URL", "PIP_EXTRA_INDEX_URL"])
def test_mirrors_of_pytorch_s_indexes_are_named_by_the_end_of_their_address(
    setting: str, repo: Repo, index: Index, other: Index
) -> None:
    build(index, "2.1")
    build(other, "2.0", "cpu")
    with serving() as third:
        build(third, "2.0", "cu128")
        repo.monkeypatch.setenv(setting, f"{other.url}/cpu {third.url}/cu128")
        locked(repo, THREE)
        assert repo.pins("base-ml") == ["torch==2.0+cpu"]
        assert repo.pins("base-ml-cuda") == ["nvidia-cudnn-cu12==1", "torch==2.0+cu128"]
        assert repo.pins("base-ml-index") == ["nvidia-cudnn-cu12==1", "torch==2.1"]
        assert repo.run("lock", "--fetch").code == 0
        assert third.fetched() == [f"torch-2.0+cu128-{AMD64}.whl"]


def test_a_variant_for_one_platform_is_locked_for_that_one(repo: Repo, folder: Path) -> None:
    for local, tag in (("cpu", AMD64), ("cpu", ARM64), ("cu128", AMD64)):
        wheel(folder, "2.0", local, tag)
    services = "  rank: {base: ml, context: app, variants: {cuda: {platforms: [linux/amd64]}}}\n"
    locked(
        repo,
        "platforms: [linux/amd64, linux/arm64]\nbases:\n  ml:\n    requirements: [torch]\n"
        "    variants: {cpu: {torch: cpu}, cuda: {torch: cu128}}\nservices:\n" + services,
    )
    both = [f"torch-2.0+cpu-{ARM64}.whl", f"torch-2.0+cpu-{AMD64}.whl"]
    cuda = f"torch-2.0+cu128-{AMD64}.whl"
    lines = repo.locked()["base-ml.txt"].splitlines()
    assert [line.split()[1] for line in lines if ".whl" in line] == both
    assert cuda in repo.locked()["base-ml-cuda.txt"]
    assert repo.run("lock", "--fetch").code == 0
    assert {name for name in repo.held() if name.startswith("torch")} == {*both, cuda}


def test_a_build_that_asks_the_index_finds_them_too_and_passes_over_what_other_platforms_need(
    repo: Repo, index: Index, other: Index, tmp_path: Path
) -> None:
    build(index, "2.0")
    build(index, "2.0", "cpu")
    build(other, "2.0", "cu128", ANY)
    index.add("elsewhere", "1", tag=ARM64)
    inside = tmp_path / "inside"
    (inside / "find-links").mkdir(parents=True)
    (inside / "uv").symlink_to(find_uv_bin())
    both = f'index-url = "{other.url}"\nextra-index-url = ["{index.url}"]\n'
    (inside / "uv.toml").write_text(both)
    repo.monkeypatch.setattr(fetch, "INSIDE", inside)
    repo.monkeypatch.delenv("UV_DEFAULT_INDEX")
    repo.monkeypatch.delenv("UV_NO_CONFIG")
    there = "aarch64" if machine() == "x86_64" else "x86_64"
    sha256 = hashlib.sha256(other.files[f"torch-2.0+cu128-{ANY}.whl"]).hexdigest()
    lock = (
        f"torch==2.0+cu128 \\\n    --hash=sha256:{sha256}\n"
        f'elsewhere==1 ; platform_machine == "{there}" \\\n    --hash=sha256:{"0" * 64}\n'
    )
    fetch.fetch_lock(lock, tmp_path / "wheels", "cu128")
    assert [path.name for path in (tmp_path / "wheels").iterdir()] == [f"torch-2.0+cu128-{ANY}.whl"]


def test_where_pytorch_s_index_is_not_reached_a_mirror_helps(repo: Repo, index: Index) -> None:
    build(index, "2.0")
    repo.monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    repo.monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    repo.write(THREE.replace("cpu: {torch: cpu}, ", ""), {"app/app.py": ""})
    done = repo.run("lock")
    assert done.code == 7
    assert done.stderr.splitlines()[-1] == (
        "  PyTorch's own index was asked for +cu128, of which no index of this machine has a"
        " wheel; a mirror is named as any index is: UV_INDEX=https://HOST/cu128"
    )


ALONG = "bases: {ml: {requirements: [scores], torch: cpu}}\nservices: {}\n"


def test_torch_that_others_need_has_its_build(repo: Repo, index: Index, folder: Path) -> None:
    build(index, "2.1")
    for local in ("cpu", "cu128"):
        wheel(folder, "2.0", local)
    locked(repo, ALONG)
    assert repo.pins("base-ml") == ["scores==1", "torch==2.0+cpu"]


def test_a_build_of_torch_that_nothing_needs_is_refused(repo: Repo) -> None:
    repo.write("bases: {ml: {requirements: [frame], torch: cu128}}\nservices: {}\n")
    done = repo.run("lock")
    assert done.code == 2
    assert (
        "`torch: cu128` chooses a build of torch, and no package of base-ml needs torch\n"
        "  add torch to the requirements, or remove this key\n"
    ) in done.stderr
