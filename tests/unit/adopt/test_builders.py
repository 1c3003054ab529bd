"""What a builder stage, or the last one, does beside installing packages: what runs in the image."""

from pathlib import Path
from typing import Any

import pytest
from tests.unit.adopt.repositories import FILES, draft, drafts, entry, why

BUILDER = """\
FROM python:3.12-slim AS builder
ENV VIRTUAL_ENV=/venv
WORKDIR /build
COPY requirements.txt .
RUN pip install -r requirements.txt
COPY tools/notices.py .
RUN mkdir notices && python notices.py notices
FROM python:3.12-slim
WORKDIR /app
COPY --from=builder /venv /venv
COPY --from=builder /build/notices ./notices
COPY main.py .
CMD ["python", "main.py"]
"""
TOOLS = {**FILES, "tools/notices.py": ""}


def commands(found: dict[str, Any]) -> list[str]:
    return [step["run"][-1] for step in found["build"]]


def test_a_run_of_the_builder_of_an_environment_runs_in_the_image(tmp_path: Path) -> None:
    found = entry(tmp_path, BUILDER, TOOLS)
    assert found["from"] == "python:3.12-slim"
    assert found["include"] == ["main.py", "tools/notices.py"]
    assert "tmpfs" not in found  # it would hide what the RUN makes
    links, run, copy = commands(found)
    assert "('/build/notices.py', '/app/tools/notices.py')" in links
    assert run == "cd /build && mkdir notices && python notices.py notices"
    assert copy.startswith("if [ -d /build/notices ]; then mkdir -p /app/notices && cp -a")


def test_files_that_are_made_where_they_belong_are_expected_there(tmp_path: Path) -> None:
    text = BUILDER.replace("/build", "/app").replace("/app/notices ./", "/app/notices /app/")
    assert commands(entry(tmp_path, text, TOOLS))[1:] == [
        "mkdir notices && python notices.py notices",
        "test -e /app/notices",
    ]


def test_a_builder_in_the_root_finds_its_files_in_the_folder_of_the_code(tmp_path: Path) -> None:
    text = BUILDER.replace("WORKDIR /build\n", "").replace("WORKDIR /app\n", "")
    text = text.replace("/build/notices ./notices", "notices notices")
    text = text.replace("COPY main.py .", "COPY main.py main.py")
    links, run, copy = commands(entry(tmp_path, text, TOOLS))
    assert "('/app/notices.py', '/app/tools/notices.py')" in links
    assert (run, copy) == ("mkdir notices && python notices.py notices", "test -e /app/notices")


KEPT = {
    "another image": (
        "python:3.12-slim AS builder",
        "python:3.12 AS builder",
        "RUN python notices",
    ),
    "no RUN names it": ("/build/notices .", "/usr/bin/ffmpeg .", "/usr/bin/ffmpeg is made in"),
    "packages": ("python notices.py", "pip install x && make $X", "RUN make $X"),
}


@pytest.mark.parametrize("case", KEPT)
def test_a_builder_that_cannot_run_in_the_image_keeps_the_dockerfile(
    tmp_path: Path, case: str
) -> None:
    before, after, reason = KEPT[case]
    assert reason in why(tmp_path, BUILDER.replace(before, after), TOOLS)


HEAD = "FROM python:3.12-slim\nWORKDIR /app\nCOPY . .\n"
CMD = 'CMD ["python", "main.py"]\n'


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("RUN sed -i s/a/b/ requirements.txt\n", "Dockerfile:5: requirements.txt may be changed"),
        ("RUN ./prepare.sh\n", "Dockerfile:5: requirements.txt may be changed"),
        ("RUN ./install.sh\n", "Dockerfile:4: RUN ./install.sh"),
        ("RUN make packages\n", "Dockerfile:4: RUN make packages"),
        (
            "RUN add-apt-repository ppa:x\nRUN apt-get install -y y\n",
            "Dockerfile:5: its Debian packages",
        ),
        ("RUN A=1 pip install .\n", "Dockerfile:4: A is set for this RUN alone"),
        ("ARG TARGETARCH\nENV ARCH=$TARGETARCH\n", "Dockerfile:1: ENV ARCH is another on each"),
        (
            "ARG TARGETARCH\nARG A=x-$TARGETARCH\nRUN get $A\n",
            "Dockerfile:6: RUN get x-$TARGETARCH",
        ),
    ],
)
def test_what_another_image_would_come_of_keeps_the_dockerfile(
    tmp_path: Path, lines: str, reason: str
) -> None:
    files = {**FILES, "install.sh": "pip install x\n", "Makefile": "packages:\n\tpip install x\n"}
    files |= {"prepare.sh": "#!/bin/sh\n", "pyproject.toml": "[project]\nname = 'shop'\n"}
    text = f"{HEAD}{lines}RUN pip install -r requirements.txt\n{CMD}"
    assert why(tmp_path, text, files).startswith(reason)


@pytest.mark.parametrize(
    ("tail", "reason"),
    [
        (
            "RUN echo x > /tmp/x.yml\nCMD python main.py /tmp/x.yml\n",
            "x.yml, which this RUN may",
        ),
        ("CMD pip install more && python main.py\n", "`pip install`: the image does not have it"),
    ],
)
def test_what_containers_do_not_have_keeps_the_dockerfile(
    tmp_path: Path, tail: str, reason: str
) -> None:
    assert reason in why(tmp_path, f"{HEAD}RUN pip install -r requirements.txt\n{tail}")


@pytest.mark.parametrize("command", ["vllm serve", "python3 -m vllm.entrypoints.api"])
def test_a_program_of_the_image_that_is_called_after_it_keeps_the_dockerfile(
    tmp_path: Path, command: str
) -> None:
    text = HEAD.replace("python:3.12-slim", "vllm/vllm-openai:v1") + "RUN pip install x\n"
    assert "vllm is of its image" in why(tmp_path, f"{text}CMD {command}\n").replace(
        "vllm.entrypoints.api", "vllm"
    )


def test_a_step_gets_the_platform_from_buildkit(tmp_path: Path) -> None:
    lines = "ARG TARGETARCH\nRUN pip install -r requirements.txt\nRUN get x-$TARGETARCH\n"
    [step] = entry(tmp_path, f"{HEAD}{lines}{CMD}")["build"]
    assert step == {"run": ["/bin/sh", "-c", "get x-$TARGETARCH"], "network": True}


def test_a_line_that_goes_on_has_no_space_at_its_joint(tmp_path: Path) -> None:
    lines = 'RUN pip install -r requirements.txt\nRUN echo "a\\n\\\n  b" > x.yml\n'
    assert commands(entry(tmp_path, f"{HEAD}{lines}{CMD}")) == ['echo "a\\n  b" > x.yml']


def test_a_download_of_add_is_a_step(tmp_path: Path) -> None:
    lines = "RUN pip install -r requirements.txt\nADD https://example.com/a/model.bin models/\n"
    [command] = commands(entry(tmp_path, f"{HEAD}{lines}{CMD}"))
    assert command.endswith("' https://example.com/a/model.bin /app/models/model.bin")
    kept = why(tmp_path / "kept", f"{HEAD}{lines.replace('ADD', 'ADD --checksum=sha256:a')}{CMD}")
    assert kept == "Dockerfile:5: a download: https://example.com/a/model.bin"


def test_constraints_of_a_command_are_in_the_list(tmp_path: Path) -> None:
    files = {**FILES, "pins/c.txt": "httpx==0.28.1\n"}
    found = entry(tmp_path, f"{HEAD}RUN pip install -c pins/c.txt httpx\n{CMD}", files)
    assert found["requirements"] == ["-c pins/c.txt", "httpx"]


def test_what_is_uninstalled_and_was_not_asked_for_is_noted(tmp_path: Path) -> None:
    lines = "RUN pip install -r requirements.txt && pip uninstall -y hf-xet\n"
    found = draft(tmp_path, f"{HEAD}{lines}{CMD}")
    assert found.outcome == "own"
    assert found.notes[0].what.startswith("hf-xet is uninstalled here, and stays where")


SYNC = """\
FROM python:3.12-slim
ENV VIRTUAL_ENV=/venv
WORKDIR /app
COPY . .
RUN cd lib && uv sync --active
RUN cd shop && uv sync{option}
CMD ["python", "shop/main.py"]
"""


@pytest.mark.parametrize(
    ("option", "listed"),
    [
        (" --active", ["shop/pyproject.toml"]),
        (" --active --inexact", ["lib/pyproject.toml", "shop/pyproject.toml"]),
        ("", ["lib/pyproject.toml", "shop/pyproject.toml"]),  # an environment of its own
    ],
)
def test_uv_sync_removes_what_another_one_installed(
    tmp_path: Path, option: str, listed: list[str]
) -> None:
    project = "[project]\nname = '{}'\nversion = '1'\ndependencies = []\n"
    files = {f"{name}/pyproject.toml": project.format(name) for name in ("lib", "shop")}
    found = entry(tmp_path, SYNC.format(option=option), {**files, "shop/main.py": ""})
    requirements = found["requirements"]
    assert ([requirements] if isinstance(requirements, str) else requirements) == listed


def test_an_image_of_python_starts_python(tmp_path: Path) -> None:
    assert entry(tmp_path, f"{HEAD}RUN pip install x\n")["command"] == ["python"]


def test_a_health_check_finds_a_file_by_its_link(tmp_path: Path) -> None:
    tail = "COPY docker/check.py /app/\nRUN pip install x\nHEALTHCHECK CMD ./check.py\nEXPOSE 80\n"
    files = {**FILES, "docker/check.py": "#!/usr/bin/env python3\n"}
    assert entry(tmp_path, f"{HEAD}{tail}{CMD}", files)["healthcheck"] == ["python", "./check.py"]


WORKFLOW = """\
jobs:
  image:
    steps:
      - uses: docker/build-push-action@v6
        with: {{context: {context}, file: docker/api.Dockerfile}}
"""


@pytest.mark.parametrize(
    ("contexts", "context"),
    [(["./api"], "api"), (["api", "."], "."), (["${{ inputs.x }}"], "."), (["nothing"], ".")],
)
def test_a_workflow_says_the_context(tmp_path: Path, contexts: list[str], context: str) -> None:
    files = {"docker/api.Dockerfile": "FROM python:3.12\nCOPY main.py .\nCMD python main.py\n"}
    files |= {"api/main.py": "", "main.py": ""}
    for number, named in enumerate(contexts):
        files[f".github/workflows/{number}.yml"] = WORKFLOW.format(context=named)
    [found] = drafts(tmp_path, files).values()
    assert found.kept["context"] == context
