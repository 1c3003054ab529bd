"""What a builder stage, or the last one, does beside installing packages: what runs in the image."""

from pathlib import Path
from typing import Any

import pytest
from tests.unit.adopt.repositories import CMD, FILES, entry, part, why

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


def test_what_a_run_of_a_builder_makes_is_copied_from_it(tmp_path: Path) -> None:
    found = entry(tmp_path, BUILDER, TOOLS)
    assert found["copy"] == [
        {
            "from": {"context": ".", "dockerfile": "Dockerfile", "target": "builder"},
            "source": "/build/notices",
            "to": "/app/notices",
        }
    ]
    assert found["include"] == ["main.py"]
    assert "build" not in found


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ("/build/notices .", "/usr/bin/ffmpeg .", "RUN python notices.py notices"),
        ("python notices.py", "pip install x && make $X", "RUN make $X notices"),
        ("python notices.py notices", "python patch.py", "RUN python patch.py"),
    ],
)
def test_a_run_of_a_builder_that_may_change_packages_keeps_the_dockerfile(
    tmp_path: Path, before: str, after: str, reason: str
) -> None:
    text = BUILDER.replace("mkdir notices && ", "").replace(before, after)
    assert why(tmp_path, text, TOOLS) == f"Dockerfile:7: {reason}"


HEAD = "FROM python:3.12-slim\nWORKDIR /app\nCOPY . .\n"


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("RUN sed -i s/a/b/ requirements.txt\n", "Dockerfile:5: requirements.txt may be changed"),
        ("RUN ./prepare.sh\n", "Dockerfile:5: requirements.txt may be changed"),
        ("RUN ./install.sh\n", "Dockerfile:4: RUN ./install.sh"),
        ("RUN make packages\n", "Dockerfile:4: RUN make packages"),
        ("RUN cd lib && make packages\n", "Dockerfile:4: RUN make packages"),
        ("RUN A=1 pip install .\n", "Dockerfile:4: A is set for this RUN alone"),
        ("RUN A=1 pip install x\n", "Dockerfile:4: A is set for this RUN alone"),
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
    files["lib/Makefile"] = files["Makefile"]
    files |= {"prepare.sh": "#!/bin/sh\n", "pyproject.toml": "[project]\nname = 'shop'\n"}
    text = f"{HEAD}{lines}RUN pip install -r requirements.txt\n{CMD}"
    assert why(tmp_path, text, files).startswith(reason)


def test_what_containers_do_not_have_keeps_the_dockerfile(tmp_path: Path) -> None:
    tail = "RUN pip install -r requirements.txt\nCMD pip install more && python main.py\n"
    assert "`pip install`: the image does not have it" in why(tmp_path, f"{HEAD}{tail}")


@pytest.mark.parametrize("command", ["vllm serve", "python3 -m vllm.entrypoints.api"])
def test_a_program_of_the_image_that_is_called_after_it_keeps_the_dockerfile(
    tmp_path: Path, command: str
) -> None:
    text = HEAD.replace("python:3.12-slim", "vllm/vllm-openai:v1") + "RUN pip install x\n"
    assert "vllm is of its image" in why(tmp_path, f"{text}CMD {command}\n").replace(
        "vllm.entrypoints.api", "vllm"
    )


def step(text: str) -> list[dict[str, Any]]:
    return [{"run": ["/bin/sh", "-c", text], "network": True}]


@pytest.mark.parametrize(
    ("lines", "keys"),
    [
        (f"ARG TARGETARCH\nRUN get x-$TARGETARCH\n{CMD}", {"build": step("get x-$TARGETARCH")}),
        (
            f'RUN echo "a\\n\\\n  b" > x.yml\n{CMD}',
            {"build": step('echo "a\\n  b" > x.yml')},
        ),  # a line that goes on has no space at its joint
        (
            f"RUN pip install -c pins/c.txt httpx\n{CMD}",
            {"requirements": ["-c pins/c.txt", "httpx"]},
        ),
        ("RUN pip install x\n", {"command": ["python"]}),
        (
            "COPY docker/check.py /app/\nHEALTHCHECK CMD ./check.py\nEXPOSE 80\n" + CMD,
            {"healthcheck": ["python", "./check.py"]},
        ),  # by its link
    ],
)
def test_lines_give_keys_of_the_entry(tmp_path: Path, lines: str, keys: dict[str, Any]) -> None:
    files = {**FILES, "pins/c.txt": "httpx==0.28.1\n"}
    files["docker/check.py"] = "#!/usr/bin/env python3\n"
    found = entry(tmp_path, f"{HEAD}{lines}", files)
    assert part(found, keys) == keys
