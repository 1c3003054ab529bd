"""CUDA is asked for by name: torch is its CPU build, and what brings CUDA beside it is refused."""

import re
from collections.abc import Iterator

import pytest
from tests.index import Index, serving
from tests.lock.conftest import Ended, Repo

AMD64 = "cp311-cp311-manylinux_2_28_x86_64"
NCCL = "nvidia-nccl-cu12"


@pytest.fixture(autouse=True)
def mirror(repo: Repo, index: Index) -> Iterator[Index]:
    """The index has torch with CUDA, a mirror of PyTorch's the CPU build."""
    index.add("torch", "2.13.0", [NCCL, "triton"], tag=AMD64)
    for name in (NCCL, "nvidia-cublas", "nvidia-ml-py", "triton"):
        index.add(name, "2")
    index.add("xgboost", "3", [NCCL])
    index.add("models", "1", ["torch"])
    index.add("frame", "1")
    with serving() as made:
        made.add("torch", "2.13.0+cpu", tag=AMD64)
        repo.monkeypatch.setenv("UV_INDEX", f"{made.url}/cpu")
        yield made


ONE = f"1 CUDA package, SIZE to download: {NCCL}==2"


def problems(ended: Ended) -> list[str]:
    """What a command reported, without warnings and sizes."""
    text = re.sub(r"(?m)^(?:warning: .*\n  .*|locking .*)\n", "", ended.stderr)
    return re.sub(r"[\d.]+ k?B to", "SIZE to", text).splitlines()


def services(*entries: str, files: dict[str, str] | None = None) -> tuple[str, dict[str, str]]:
    text = "".join(f"  {entry}\n" for entry in entries)
    return f"services:\n{text}", {"app/app.py": "", **(files or {})}


def test_torch_is_its_cpu_build_where_nothing_is_said(repo: Repo) -> None:
    repo.write(
        "bases: {ml: {requirements: [torch]}}\nservices:\n"
        "  own: {context: app, requirements: [models]}\n  rank: {base: ml, context: app}\n",
        {"app/app.py": ""},
    )
    repo.done("lock")
    assert repo.pins("base-ml") == ["torch==2.13.0+cpu"]
    assert repo.pins("own") == ["models==1", "torch==2.13.0+cpu"]


def test_cuda_is_asked_for_by_a_base_a_service_or_a_variant(repo: Repo) -> None:
    repo.write(
        "bases: {ml: {requirements: [torch], torch: cuda}}\nservices:\n"
        "  one: {context: app, requirements: [torch], torch: cuda}\n"
        "  two: {context: app, requirements: [torch], variants: {cpu: {}, gpu: {torch: cuda}}}\n"
        "  boost: {context: app, requirements: [xgboost], torch: cuda}\n",
        {"app/app.py": ""},
    )
    repo.done("lock")
    cuda = [f"{NCCL}==2", "torch==2.13.0", "triton==2"]
    for name in ("base-ml", "one", "two-gpu"):
        assert repo.pins(name) == cuda
    assert repo.pins("two") == ["torch==2.13.0+cpu"]
    assert repo.pins("boost") == [f"{NCCL}==2", "xgboost==3"], "permission, without torch"


def test_a_fleet_without_torch_does_not_ask_pytorch_s_index(repo: Repo) -> None:
    repo.monkeypatch.delenv("UV_INDEX")
    repo.monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    repo.monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    repo.lock("[frame]", api="[nvidia-ml-py]")
    assert repo.pins("base-web") == ["frame==1"]


def test_every_requirement_that_brings_cuda_is_named_with_its_line_and_bytes(repo: Repo) -> None:
    repo.write(
        "bases:\n"
        "  ml: {requirements: [frame, xgboost]}\n"
        "services:\n"
        "  rank: {base: ml, context: app}\n"
        "  tune: {base: ml, context: app, requirements: [xgboost, triton]}\n"
        "  file: {context: app, requirements: requirements.txt}\n"
        "  project: {context: app, requirements: [app/pyproject.toml]}\n"
        "  library: {context: app, requirements: [./library]}\n",
        {
            "app/app.py": "",
            "app/requirements.txt": "# xgboost\nframe==1\nXGBoost==3  # via nothing\n",
            "app/pyproject.toml": '[project]\nname = "app"\nversion = "1"\n'
            'dependencies = [\n  "frame",\n  "xgboost>=3",\n]\n',
            "library/pyproject.toml": '[project]\nname = "library"\nversion = "1"\n'
            'dependencies = ["xgboost"]\n[build-system]\nrequires = ["frame"]\n'
            'build-backend = "frame"\n',
            "library/library.py": "",
        },
    )
    done = repo.run("lock")
    assert done.code == 2
    assert not (repo.root / "bake/locks/base-ml.txt").exists()
    assert problems(done) == [
        f"services.yaml:4:30: bases.ml.requirements[1]: xgboost brings base-ml {ONE}",
        "  if this runs on a GPU, write `torch: cuda` in bases.ml",
        "  else require a package without CUDA in place of xgboost",
        "services.yaml:7:58: services.tune.requirements[1]: tune asks for 1 CUDA package, SIZE to"
        " download: triton==2",
        "  if this runs on a GPU, write `torch: cuda` in bases.ml",
        "  else remove them here: what runs on CPUs needs none of them",
        f"app/pyproject.toml:6:4: xgboost brings project {ONE}",
        "  if this runs on a GPU, write `torch: cuda` in services.project",
        "  else require a package without CUDA in place of xgboost",
        f"app/requirements.txt:3:1: xgboost brings file {ONE}",
        "  if this runs on a GPU, write `torch: cuda` in services.file",
        "  else require a package without CUDA in place of xgboost",
        f"library/pyproject.toml:4:18: library -> xgboost brings library {ONE}",
        "  if this runs on a GPU, write `torch: cuda` in services.library",
        "  else require a package without CUDA in place of xgboost",
        "5 problems in services.yaml",
        "locked all the same: wheel-library",
    ]


COMPILED = f"""\
frame==1
nvidia-cublas==2
    # via torch
{NCCL}==2
    # via torch
nvidia-ml-py==2
torch==2.13.0
triton==2
    # via torch
"""


def test_the_lines_of_a_compiled_file_are_one_problem(repo: Repo) -> None:
    repo.write(
        *services(
            "api: {context: app, requirements: requirements.txt}",
            files={"app/requirements.txt": COMPILED},
        )
    )
    done = repo.run("lock")
    assert done.code == 2
    assert problems(done) == [
        "app/requirements.txt:2:1: api asks for 3 CUDA packages, SIZE to download: nvidia-cublas==2,"
        " nvidia-nccl-cu12==2, triton==2",
        "  if this runs on a GPU, write `torch: cuda` in services.api",
        "  else remove them here: what runs on CPUs needs none of them",
        "1 problem in services.yaml",
    ]


@pytest.mark.parametrize("asked", ["[triton]", "[torch, triton]"])
def test_triton_is_refused_without_a_question_to_pytorch_s_index(repo: Repo, asked: str) -> None:
    repo.monkeypatch.delenv("UV_INDEX")
    repo.monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    repo.write(*services(f"api: {{context: app, requirements: {asked}}}"))
    done = repo.run("lock")
    assert done.code == 2
    assert [line.partition(": ")[2] for line in problems(done) if "CUDA package," in line] == [
        f"services.api.requirements[{asked.count(',')}]: api asks for 1 CUDA package, SIZE to"
        " download: triton==2"
    ]


def test_triton_beside_a_cuda_version_of_torch_is_taken_from_that_version_s_index(
    repo: Repo,
) -> None:
    repo.monkeypatch.delenv("UV_INDEX")
    repo.monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    repo.monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    repo.write(*services("api: {context: app, requirements: [triton], torch: cu128}"))
    done = repo.run("lock")
    assert (done.code, "was asked for +cu128" in done.stderr) == (7, True)


def test_an_index_for_cpus_without_this_torch_is_what_has_to_be_corrected(
    repo: Repo, mirror: Index
) -> None:
    del mirror.entries["torch"]
    repo.write(*services("api: {context: app, requirements: [models]}"))
    found = problems(repo.run("lock"))
    assert found[0].endswith(
        "models -> torch brings api 2 CUDA packages, SIZE to download: nvidia-nccl-cu12==2, triton==2"
    )
    assert found[2] == "  else add an index with the CPU build of torch: UV_INDEX=https://HOST/cpu"


def test_what_a_variant_adds_is_named_there(repo: Repo) -> None:
    variants = "{slim: {}, more: {requirements: [xgboost]}}"
    repo.write(*services(f"api: {{context: app, requirements: [frame], variants: {variants}}}"))
    assert problems(repo.run("lock"))[0] == (
        "services.yaml:4:89: services.api.variants.more.requirements[0]: xgboost brings api-more"
        f" {ONE}"
    )


def test_hashes_of_the_index_s_torch_are_those_of_another_build(repo: Repo, index: Index) -> None:
    sha256 = index.entries["torch"][0]["hashes"]["sha256"]
    text = f"torch==2.13.0 --hash=sha256:{sha256}\n"
    repo.write(
        *services(
            "api: {context: app, requirements: requirements.txt}",
            files={"app/requirements.txt": text},
        )
    )
    done = repo.run("lock")
    assert done.code == 2
    assert done.stderr.endswith(
        "which is none of the hashes in app/requirements.txt:1\n"
        "  these hashes of torch are those of another build: remove them, or write `torch: cuda` for"
        " the index's own build, with CUDA\n"
    )


TORCH = 'FROM python:3.11-slim\nWORKDIR /app\nCOPY requirements.txt .\n{}COPY app.py .\nCMD ["python", "app.py"]\n'
PLAIN = "RUN pip install -r requirements.txt\n"


def test_init_of_plain_services_with_torch_gives_the_cpu_build(repo: Repo) -> None:
    for name in ("embed", "rank", "rate"):
        folder = repo.root / name
        folder.mkdir()
        (folder / "Dockerfile").write_text(TORCH.format(PLAIN))
        (folder / "requirements.txt").write_text("torch==2.13.0\n")
        (folder / "app.py").write_text("import torch\n")
    done = repo.done("init")
    assert "torch is its CPU build" in done.stdout + done.stderr
    assert "torch:" not in (repo.root / "services.yaml").read_text()
    repo.done("lock")
    for name in ("embed", "rank", "rate"):
        assert repo.pins(name) == ["torch==2.13.0+cpu"]
