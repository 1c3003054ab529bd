"""The rule: own, own with a shell, kept - and the line that decides."""

from pathlib import Path
from typing import Any

import pytest
from tests.unit.adopt.repositories import (
    APP,
    CMD,
    FILES,
    HEAD,
    PLAIN,
    draft,
    entry,
    part,
    started,
    why,
    written,
)

from slimbake.config import manifest


def step(text: str) -> dict[str, Any]:
    """A step of `build:` that gives this text to a shell."""
    return {"run": ["/bin/sh", "-c", text], "network": True}


# What stands between HEAD and CMD, and keys that the entry of it has; None is a key that it lacks.
OTHER = "; then pip install one; else pip install other; fi"
ONE = ["requirements.txt", "one"]
CURL_AND_GIT = {"system": ["curl", "git"]}
GIVES: list[tuple[str, dict[str, Any]]] = [
    (
        "RUN python -m venv /venv\nENV A=/usr/local/bin/x\n"
        "RUN /venv/bin/python fetch.py -o /usr/local/bin/x",
        {"build": [step("python fetch.py -o /usr/local/bin/x")], "env": {"A": "/usr/local/bin/x"}},
    ),
    ('RUN if [ -f "main.py" ]; then pip install one; fi', {"requirements": ONE}),
    ('RUN if [ -f "none.txt" ]; then pip install x; fi', {"requirements": "requirements.txt"}),
    (f'ARG A=x\nRUN if [ "$A" = "x" ]{OTHER}', {"requirements": ONE}),
    (f'ARG A=x\nRUN if [ "$A" != "x" ]{OTHER}', {"requirements": ["requirements.txt", "other"]}),
    (f'ARG A=x\nRUN if test -z "$A"{OTHER}', {"requirements": ["requirements.txt", "other"]}),
    (f'ARG A=x\nRUN if [[ -n "$A" ]]{OTHER}', {"requirements": ONE}),
    (f'ENV A=x\nARG A=y\nRUN if [ "$A" = x ]{OTHER}', {"requirements": ONE}),
    (
        "RUN curl -LsSf https://astral.sh/uv/install.sh | sh && uv pip install one",
        {"requirements": ONE},
    ),
    (
        "ADD https://astral.sh/uv/0.5/install.sh /i.sh\nRUN sh /i.sh && rm /i.sh",
        {"requirements": "requirements.txt"},
    ),
    (
        "ADD https://astral.sh/uv/install.sh /\nRUN chmod +x /install.sh && /install.sh",
        {"requirements": "requirements.txt"},
    ),
    ("RUN <<E\nset -e\n# more\npip install one  # of it\nE", {"requirements": ONE}),
    ('ARG MORE="one more"\nRUN pip install $MORE', {"requirements": [*ONE, "more"]}),
    ("RUN pip install -qUr requirements.txt one", {"requirements": ONE}),
    ("RUN apt-get -o Acquire::Retries=3 install -y curl git", CURL_AND_GIT),
    ("RUN apt-get install -y -t bookworm-backports curl git", CURL_AND_GIT),
    (
        "RUN apt-get install --target-release=x -y `# why` curl \\\n    # a comment\n git",
        CURL_AND_GIT,
    ),
    ("RUN apt-get update && t='curl git'; apt-get install -y $t", CURL_AND_GIT),
    ("RUN useradd -m app\nUSER app", {"user": "1000"}),
    ("RUN useradd -r app\nUSER app", {"user": None}),
    ("RUN useradd -r --uid 999 app\nUSER app", {"user": "999"}),
    (
        "ENV HF_HOME=/root/.cache/hf HOME=/root\nVOLUME /root/.cache",
        {
            "env": {"HF_HOME": "/home/nonroot/.cache/hf"},
            "volumes": {"root-cache": "/home/nonroot/.cache"},
        },
    ),
    (
        "RUN useradd -m -u 1001 shop && mkdir -p /data/cache /app/logs /app\n"
        "ENV LOG=/app/logs PATH=/app/.venv/bin:$PATH PIP_NO_CACHE_DIR=1\n"
        "EXPOSE 8000 9000\nVOLUME /data/files\nSTOPSIGNAL SIGINT\nUSER shop\n"
        "HEALTHCHECK --interval=30s CMD curl -f http://localhost:8000/ || exit 1",
        {
            "env": {"LOG": "/app/logs"},
            "port": 8000,
            "expose": [9000],
            "user": "1001",
            "volumes": {"data-files": "/data/files"},
            "tmpfs": ["/data/cache", "/app/logs"],
            "stop_signal": "SIGINT",
            "healthcheck": {"test": ["curl", "-f", "http://localhost:8000/"], "interval": "30s"},
            "system": ["curl"],
            "shell": None,
            "build": None,
        },
    ),
    (
        "EXPOSE 80\nHEALTHCHECK CMD test -f /tmp/$X && true",
        {"healthcheck": ["sh", "-c", "test -f /tmp/$X && true"], "shell": True},
    ),
]


@pytest.mark.parametrize(("lines", "keys"), GIVES)
def test_an_image_of_python_is_slimbakes_own(
    tmp_path: Path, lines: str, keys: dict[str, Any]
) -> None:
    found = draft(tmp_path, f"{HEAD}{lines}\n{CMD}")
    assert found.outcome == "own"
    assert part(found.entry, keys) == keys


def test_one_plain_program_in_shell_form_needs_no_shell(tmp_path: Path) -> None:
    found = draft(tmp_path, HEAD + "CMD uvicorn 'main:app' --port 80\n")
    assert found.outcome == "own"
    assert found.entry["command"] == ["uvicorn", "main:app", "--port", "80"]


def test_a_requirements_file_without_an_ending_is_a_path_that_the_reader_takes(
    tmp_path: Path,
) -> None:
    text = PLAIN.replace("requirements.txt .", "needed r.txt").replace("requirements.txt", "r.txt")
    root = tmp_path / "shop"
    decided = started(root, {**FILES, "Dockerfile": text, "needed": "six==1.16.0\n"})
    (root / "services.yaml").write_text(decided.text)
    [service] = manifest(root / "services.yaml").services
    assert service.requirements.specs == ("six==1.16.0",)


SCRIPT = "#!/bin/bash\nset -e\negrep -q x /etc/hosts | sed s/a/b/\nexec python main.py\n"


def test_a_script_is_taken_as_it_is_with_its_shell_and_what_it_calls(tmp_path: Path) -> None:
    files = {**FILES, "run.sh": SCRIPT}
    found = entry(tmp_path, HEAD + 'ENTRYPOINT ["/app/run.sh"]\nCMD ["web"]\n', files)
    assert (found["entrypoint"], found["command"]) == (["/app/run.sh"], ["web"])
    assert (found["shell"], found["system"]) == (True, ["bash", "grep", "sed"])


@pytest.mark.parametrize(
    ("shebang", "command"), [("", ["sh", "./run.sh"]), ("#!/bin/sh\n", ["./run.sh"])]
)
def test_a_script_without_x_is_run_by_sh(tmp_path: Path, shebang: str, command: list[str]) -> None:
    text = f'{HEAD}RUN chmod +x run.sh\nCMD ["./run.sh"]\n'
    found = entry(tmp_path, text, {**FILES, "run.sh": f"{shebang}exec python main.py\n"})
    assert found["command"] == command


def test_a_script_is_found_behind_tini_and_outside_of_the_code(tmp_path: Path) -> None:
    text = HEAD + "COPY docker/run.sh /run.sh\nRUN apt-get install -y tini\n"
    text += 'ENTRYPOINT ["/usr/bin/tini", "--", "/run.sh"]\n'
    found = entry(tmp_path, text, {**FILES, "docker/run.sh": "#!/bin/sh\nexec python main.py\n"})
    assert found["entrypoint"] == ["/usr/bin/tini", "--", "/run.sh"]
    assert found["copy"] == [{"source": "docker/run.sh", "to": "/run.sh"}]
    assert found["shell"] is True


# What stands between HEAD and CMD, and why that keeps the Dockerfile: line 5.
STEPS_KEPT = {
    "RUN apk add --no-cache gcc postgresql-dev": "apk add postgresql-dev",
    "RUN pip install $(cat x)": "RUN needs a shell: `$(`",
    "RUN if [ -n $X ]; then pip install a; fi": "RUN needs a shell: `if [ -n $X ]`",
    "COPY --from=wheels:1 /usr/local /usr/local": "/usr/local is copied of wheels:1",
    "COPY --from=wheels:1 /opt/venv /opt/venv": "/opt/venv is copied of wheels:1",
    "COPY --from=nginx:1 --chmod=755 /x /x": "/x is copied of nginx:1",
    "RUN --mount=from=nginx:1,source=/x,target=/x true": "/x is copied of nginx:1",
    "COPY <<EOF /app/x.py\nprint()\nEOF": "a file that stands in the Dockerfile",
    "RUN --mount=type=secret,id=pip PIP_CONFIG_FILE=/run/secrets/pip pip install x": "a RUN reads a",
    "RUN --mount=type=secret,id=x,target=/root/.netrc pip install x": "a RUN reads a secret",
    "RUN pip install git+https://me:token@example.com/x.git": "a package is of an address with a",
    "ONBUILD COPY . .": "ONBUILD",
    "RUN pip uninstall -y x": "RUN pip uninstall -y x",
    "ADD https://example.com/x?y /x": "a download: https://example.com/x",
    "RUN --mount=type=ssh pip install x": "a RUN reads a secret",
    "RUN pip install -c c.txt x": "the repository has no c.txt with constraints",
    "RUN [ -n $X ] && pip install x": "RUN needs a shell: `&&` before `pip`",
    "RUN [ a = b ] && pip install x": "RUN needs a shell: `&&` before `pip`",
    "RUN echo $(pip install x)": "RUN needs a shell: `$(`: a command makes part",
    "RUN X=$(cat x); pip install $X": "RUN needs a shell: `$(`: a command makes part",
    'RUN if [ "$TARGETARCH" = arm64 ]; then pip install x; fi': "RUN needs a shell: `if ",
    "RUN cat requirements.txt | xargs pip install": "RUN needs a shell: `|` before `xargs`",
}
# And what runs in the image as it is: the text that the shell gets.
AS_IT_IS = {
    "RUN python manage.py collectstatic --noinput": "python manage.py collectstatic --noinput",
    "RUN ./download.py": "./download.py",
    "RUN echo 1 > version.txt": "echo 1 > version.txt",
    "RUN for a in 1; do echo $a; done": "for a in 1; do echo $a; done",
    "RUN curl https://example.com/a.tar | tar x -C /srv/app": (
        "curl https://example.com/a.tar | tar x -C /app"
    ),
    'RUN ["make", "a b"]': "make 'a b'",
    "RUN pip install x && make": "make",
    "RUN useradd -m app && groupadd x && make && chown -R app:x /opt": (
        "make && chown -R 1000:1000 /opt"
    ),
    "RUN adduser --system a\nRUN ./get && chown a out && chown ab out": (
        "./get && chown 65532:65532 out && chown ab out"
    ),
    "RUN if [ -n x ]; then useradd x; fi; make": "if [ -n x ]; then :; fi; make",
    "RUN useradd x || true && make": ": || true && make",
    "RUN cd lib && make && pip install \\\n  x && \\\n touch y": "cd lib && make && touch y",
    "RUN make; python -m pip install x": "make",
    "RUN pip install a && apt-get install -y make; pip install ab && ./get": (
        "apt-get install -y make; ./get"
    ),
    "COPY --from=nginx:1 /x /opt/\nRUN chmod +x /opt/x": "chmod +x /opt/x",
}


@pytest.mark.parametrize("line", AS_IT_IS)
def test_what_slimbake_does_not_know_runs_in_the_image_as_it_is(tmp_path: Path, line: str) -> None:
    head = HEAD.replace("WORKDIR /app", "ARG MODEL=small\nARG OTHER\nENV HOME=/x\nWORKDIR /srv/app")
    found = draft(tmp_path, f"{head}{line}\n{CMD}")
    assert found.outcome == "own"
    assert found.entry["from"] == "python:3.12-slim"
    assert found.entry["build"] == [{**step(AS_IT_IS[line]), "env": {"MODEL": "small"}}]
    assert any(note.what.startswith("this RUN runs as it is") for note in found.notes)


@pytest.mark.parametrize(
    "line",
    ["pipenv install --system --deploy", "pipenv sync --system && rm -r ~/.cache"],
)
def test_pipenv_installs_what_its_lock_pins(tmp_path: Path, line: str) -> None:
    head = "FROM python:3.12-slim\nWORKDIR /app\nRUN pip install pipenv\nCOPY Pipfile Pipfile.lock ./\n"
    text = f"{head}RUN {line}\nCOPY main.py .\n{CMD}"
    files = {"main.py": "", "Pipfile": "", "Pipfile.lock": '{"default": {}}'}
    assert draft(tmp_path, text, files).entry["requirements"] == "Pipfile.lock"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("pipenv install --dev", "pipenv installs packages for tests"),
        ("pipenv install flask", "RUN pipenv install flask"),
        ("pipenv install --system flask", "RUN pipenv install --system flask"),
        ("pipenv install -r a.txt", "RUN pipenv install -r a.txt"),
        ("pipenv install", "the repository has no Pipfile.lock to install from"),
    ],
)
def test_what_pipenv_installs_without_a_lock_keeps_the_dockerfile(
    tmp_path: Path, line: str, reason: str
) -> None:
    text = f"FROM python:3.12-slim\nWORKDIR /app\nCOPY . .\nRUN {line}\n{CMD}"
    [why] = draft(tmp_path, text, {"main.py": "", "Pipfile": ""}).why
    assert why.what == reason


def test_the_code_may_lie_in_the_top_folder(tmp_path: Path) -> None:
    text = "FROM python:3.12-slim\nRUN pip install x\nCOPY src .\nCMD python -u /main.py\n"
    found = entry(tmp_path, text, {"src/main.py": ""})
    assert (found["context"], found["command"]) == ("src", ["python", "-u", "/app/main.py"])


@pytest.mark.parametrize(
    ("image", "line"),
    [
        ("python:slim", "RUN make"),  # which may have another Python than the service
        ("python:3.12", "RUN curl -o /usr/lib/python3/dist-packages/x/y http://a"),
        ("python:3.12-alpine", "RUN make"),
        ("python:3.12", "RUN --mount=source=x,target=/x make"),
        ("python:3.12", "RUN pip uninstall -y fastapi && make"),
        ("python:3.12", "ARG API_TOKEN=a1b2c3d4e5f6a7b8\nRUN make"),
    ],
)
def test_what_cannot_run_as_it_is_keeps_the_dockerfile(
    tmp_path: Path, image: str, line: str
) -> None:
    files = {**FILES, "x/y": ""}
    dockerfile = f"{HEAD}{line}\n{CMD}".replace("python:3.12-slim", image)
    assert draft(tmp_path, dockerfile, files).outcome == "kept"


def test_a_step_runs_in_the_image_of_the_services_python(tmp_path: Path) -> None:
    head = HEAD.replace("3.12-slim", f"3.9.18-slim@sha256:{'0' * 64}")
    assert entry(tmp_path, f"{head}RUN make\n{CMD}")["from"] == "python:3.11-slim"


def test_debian_packages_of_a_source_that_a_run_adds_are_installed_as_today(tmp_path: Path) -> None:
    lines = "RUN add-apt-repository ppa:x\nRUN apt-get install -y y\n"
    found = entry(tmp_path, f"FROM python:3.12-slim\n{lines}WORKDIR /app\nCOPY . .\n{CMD}")
    steps = ("cd / && add-apt-repository ppa:x", "cd / && apt-get install -y y")
    assert found["build"] == [step(text) for text in steps]
    assert "system" not in found


def test_a_file_is_copied_into_a_folder_that_was_copied(tmp_path: Path) -> None:
    files = {"src/agents/a.py": "", "shared/tools.py": "", "src/main.py": ""}
    text = f"FROM python:3.12\nWORKDIR /app\nCOPY src .\nCOPY shared/tools.py agents\n{CMD}"
    copies = entry(tmp_path, text, files)["copy"]
    assert copies == [{"source": "shared/tools.py", "to": "/app/src/agents/tools.py"}]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("ENV LD_LIBRARY_PATH=/usr/lib/python3/site-packages/nvidia/lib", "its env names where"),
        ("RUN python -m venv /venv\nRUN make && chown 1 /venv", "its build names where"),
        ("RUN find . -name x -exec sed -i s/a/b/ {} +", "RUN find . -name x -exec"),
    ],
)
def test_files_of_packages_by_their_places_keep_the_dockerfile(
    tmp_path: Path, line: str, reason: str
) -> None:
    head = HEAD.replace("3.12", "3.12" if "sed" not in line else "3.12-alpine")
    assert reason in why(tmp_path, f"{head}{line}\n{CMD}")


@pytest.mark.parametrize("line", [". /venv/bin/activate", "/venv/bin/uvicorn x", "venv/bin/x"])
def test_a_script_that_needs_an_environment_keeps_the_dockerfile(tmp_path: Path, line: str) -> None:
    files = {**FILES, "run.sh": f"#!/bin/sh\n{line}\n"}
    text = f'{HEAD}RUN python -m venv /venv\nCMD ["./run.sh"]\n'
    assert "the image does not have it" in why(tmp_path, text, files)


def test_a_condition_of_a_file_of_the_image_is_not_known(tmp_path: Path) -> None:
    assert (
        draft(tmp_path, f"{HEAD}RUN if [ -f /etc/x ]; then pip install x; fi\n{CMD}").outcome
        == "kept"
    )


def test_files_of_a_builder_that_is_not_read_are_copied(tmp_path: Path) -> None:
    dockerfile = """\
FROM python:3.12-slim AS base
WORKDIR /app
COPY requirements.txt .
RUN pip install -r requirements.txt
FROM base AS models
RUN huggingface-cli download x --local-dir models
FROM base
COPY --from=models /app/models /app/models
COPY main.py .
CMD ["python", "main.py"]
"""
    found = draft(tmp_path, dockerfile)
    assert found.outcome == "own"
    assert found.entry["copy"] == [
        {
            "from": {"context": ".", "dockerfile": "Dockerfile", "target": "models"},
            "source": "/app/models",
            "to": "/app/models",
        }
    ]
    assert "build" not in found.entry


KEPT = {
    "FROM node:22\nCMD npm start\n": "Dockerfile:1: its image is node:22,",
    "FROM tiangolo/uvicorn-gunicorn:python3.11\nCOPY . /app\n": (
        "Dockerfile:1: its image is tiangolo/uvicorn-gunicorn:python3.11,"
    ),
    **{f"{HEAD}{step}\n{CMD}": f"Dockerfile:5: {why}" for step, why in STEPS_KEPT.items()},
    f"FROM node:22 AS web\nRUN --mount=type=secret,id=x npm ci\n{HEAD}COPY --from=web /x x\n{CMD}": (
        "Dockerfile:7: /x is copied of node:22"
    ),
    f"ARG N\nFROM node:$N AS web\n{HEAD}COPY --from=web /dist static\n{CMD}": (
        "Dockerfile:7: /dist is copied of node:"
    ),
    f"FROM node:22 AS web\nFROM python:3.12 AS b\nCOPY --from=web /x /x\n{HEAD}"
    f"COPY --from=b /opt/venv /opt/venv\n{CMD}": "Dockerfile:3: /x is copied of node:22",
    f"{HEAD}COPY --from=nginx:1 /x/*.js /app/\n{CMD}": "Dockerfile: copy[0].source: '/x/*.js' is",
    f"{HEAD}COPY --from=nginx:1 /x /weights\n{CMD}": "Dockerfile: copy[0].to: '/weights' overlaps with",
    HEAD.replace("python:3.12-slim", "cuda"): "Dockerfile:1: it has no CMD and no ENTRYPOINT",
    f'{HEAD}CMD ["python", "app.py"]\n': "Dockerfile:5: the image has no app.py",
    f"FROM python:3.12\nCOPY dist /app\n{CMD}": "Dockerfile:2: the repository has no dist",
    f"FROM python:3.12\nCOPY ../x /app\n{CMD}": "Dockerfile:2: COPY ../x leads out of the context",
    f"FROM python:2.7\nCOPY main.py .\n{CMD}": "Dockerfile:1: its image is python:2.7,",
    f'{HEAD}CMD ["uv", "run", "--package", "x", "x"]\n': (
        "Dockerfile:5: `run --package`: init does not know this option"
    ),
}


@pytest.mark.parametrize("dockerfile", KEPT)
def test_what_keeps_a_dockerfile_is_named_with_its_line(tmp_path: Path, dockerfile: str) -> None:
    files = {**FILES, "src/a.py": "", "lib/b.py": "", "download.py": "#!/usr/bin/env python\n"}
    assert why(tmp_path, dockerfile, files).startswith(KEPT[dockerfile])
    found = draft(tmp_path, dockerfile, files)
    assert found.entry == {"context": ".", "dockerfile": "Dockerfile"}


STAGES = """\
FROM node:22 AS Frontend
RUN npm ci && npm run build > /dev/null; if true; then make; fi
FROM scratch AS tools
ADD https://example.com/tool.tar.gz /
FROM python:3.12-slim
WORKDIR /srv/app
COPY . .
RUN pip install -r requirements.txt
COPY --from=frontend /app/dist ./static/
COPY --from=frontend --chown=1:1 /app/icons /app/manifest.json /srv/app/more/
COPY --from=tools /tool /usr/bin/tool
COPY --from=nginx:1 /etc/nginx/mime.types /etc/nginx/mime.types
CMD ["python", "main.py"]
"""


def test_files_of_stages_and_images_are_copied_without_a_look_at_what_makes_them(
    tmp_path: Path,
) -> None:
    found = draft(tmp_path, STAGES)
    assert found.outcome == "own", found.why
    frontend = {"context": ".", "dockerfile": "Dockerfile", "target": "frontend"}
    assert found.entry["copy"] == [
        {"from": frontend, "source": "/app/dist", "to": "/app/static/"},
        {"from": frontend, "source": "/app/icons", "to": "/app/more/"},
        {"from": frontend, "source": "/app/manifest.json", "to": "/app/more/"},
        {"from": frontend | {"target": "tools"}, "source": "/tool", "to": "/usr/bin/tool"},
        {"from": {"image": "nginx:1"}, "source": "/etc/nginx/mime.types", "to": "/etc/nginx/mime.types"},
    ]  # fmt: skip


def test_a_stage_gets_the_arguments_of_today_and_none_that_may_be_secret(tmp_path: Path) -> None:
    compose = "services: {web: {build: {context: ., args: {MODE: fast}}}}\n"
    files = {**FILES, "Dockerfile": STAGES, "compose.yaml": compose}
    [found] = started(tmp_path, files).drafts
    assert found.entry["copy"][0]["from"]["args"] == {"MODE": "fast"}
    files["compose.yaml"] = compose.replace("MODE", "NPM_TOKEN").replace(
        "fast", "npm_0123456789abcd"
    )
    [found] = started(tmp_path / "secret", files).drafts
    assert found.outcome == "kept" and found.why
    assert found.why[0].what.startswith("its stages need a secret, or an image")


STEPS = [
    "apt-get update && apt-get install -y --no-install-recommends curl && rm -rf /var/lib/apt/lists/*",
    "set -eux; useradd --create-home --uid 1000 shop; chown -R shop /app || true",
    "pip install --upgrade pip uv",
    "curl -LsSf https://astral.sh/uv/install.sh | sh",
    'if [ "$ENV" = "dev" ]; then pip install pytest; fi',
    "python -m venv /opt/venv >/dev/null 2>&1",
    "uv cache clean",
    "apk update && apk add --no-cache --virtual .build-deps gcc musl-dev && apk del .build-deps",
    "touch /var/log/shop.log",
    "python -m compileall -q /app",
    "apt-get install -y git git-lfs && git lfs install",
    "chmod 700 a | true; find . -name '*.pyc' -delete || echo none",
    "id shop || groupadd shop",
    "echo $(pwd) `ls`",
    ". /opt/venv/bin/activate && uv cache clean",
    "[ -f /app/nothing ] && rm /app/nothing",
    "curl -LsSf https://astral.sh/uv/install.sh -o /i.sh && sh /i.sh && rm /i.sh",
    "wget -qO- https://astral.sh/uv/0.5.1/install.sh | UV_INSTALL_DIR=/bin sh",
    "curl -sSL https://install.python-poetry.org | POETRY_HOME=/opt/poetry python3 - --yes",
]


@pytest.mark.parametrize("step", STEPS)
def test_steps_that_make_no_file_of_the_image_are_no_obstacle(tmp_path: Path, step: str) -> None:
    found = entry(tmp_path, f"{HEAD}ARG ENV=prod\nRUN {step}\n{CMD}")
    assert found["requirements"] == "requirements.txt"


@pytest.mark.parametrize(
    ("listed", "code", "system"),
    [
        ("x @ git+https://example.com/x.git\n", "import os\n", ["curl"]),
        ("x==1\n", "import os\n", ["git", "curl"]),
        ("x @ git+https://example.com/x.git\n", "run(['git', 'log'])\n", ["git", "curl"]),
        ("x @ git+https://example.com/x.git\n", "from git import Repo\n", ["git", "curl"]),
    ],
)
def test_git_that_pip_alone_needs_is_left_out_and_said_so(
    tmp_path: Path, listed: str, code: str, system: list[str]
) -> None:
    text = f"{HEAD}RUN apt-get update && apt-get install -y git curl\n{CMD}"
    files = {**FILES, "requirements.txt": listed, "app/main.py": code, "Dockerfile": text}
    decided = started(tmp_path, files)
    assert decided.drafts[0].entry["system"] == system
    said = [note for note in decided.notes if note.what.startswith("git, which pip alone needs")]
    assert bool(said) == ("git" not in system)


def test_an_image_with_compilers_gives_them_to_wheels_that_are_built(tmp_path: Path) -> None:
    found = entry(tmp_path, HEAD.replace("python:3.12-slim", "python:3.12-bookworm") + CMD)
    assert found["wheels"] == {"system": ["build-essential"]}
    assert "wheels" not in entry(tmp_path / "slim", HEAD + CMD)


def test_folders_in_a_volume_of_the_compose_file_are_that_volume_s(tmp_path: Path) -> None:
    made = f"{HEAD}RUN mkdir -p /data/cache /data /cache && chown app /data\n{CMD}"
    own = "services: {shop: {build: ., volumes: ['data:/data']}}\nvolumes: {data: {}}\n"
    found = draft(tmp_path, made, {**FILES, "compose.yaml": own})
    assert found.entry["volumes"] == {"data": "/data"}
    assert found.entry["tmpfs"] == ["/cache"]
    [note] = found.notes
    assert str(note) == (
        "Dockerfile:5: what is written to /cache, at each restart\n"
        "  `volumes` in place of `tmpfs` keeps it"
    )


@pytest.mark.parametrize(
    ("said", "command"),
    [
        ("entrypoint: [], command: python -m work", {"command": ["python", "-m", "work"]}),
        ("entrypoint: null, command: [x]", {"entrypoint": ["python", "run.py"], "command": ["x"]}),
    ],
)
def test_a_compose_file_takes_an_entrypoint_away(
    tmp_path: Path, said: str, command: dict[str, list[str]]
) -> None:
    own = f"services: {{shop: {{build: ., {said}}}}}\n"
    text = f'{HEAD}ENTRYPOINT ["python", "run.py"]\n{CMD}'
    found = entry(tmp_path, text, {**FILES, "run.py": "", "compose.yaml": own})
    assert {key: found[key] for key in ("entrypoint", "command") if key in found} == command


FOLLOWS = "shop: its `entrypoint` follows that of the Dockerfile"
# Keys of a service in a compose file, a Dockerfile that is kept, what the entry has, and the notes.
KEPT_AND_COMPOSED: list[tuple[str, str, dict[str, Any], list[str]]] = [
    ("entrypoint: [a], command: [b]", "ENTRYPOINT ./x", {"command": ["a", "b"]}, [FOLLOWS]),
    ("entrypoint: [a], command: [b]", "", {"command": ["a", "b"]}, []),
    ("user: '1000:1000'", "", {"user": "1000:1000"}, []),
    ("user: me", "", {"user": None}, ["user: 'me' is not allowed here"]),
    (
        "working_dir: /x",
        "",
        {"workdir": None},
        ["shop: its `working_dir` is that of the Dockerfile"],
    ),
    (
        "healthcheck: {test: exit 0 || exit 1, interval: 9s}",
        "",
        {"healthcheck": {"test": ["/bin/sh", "-c", "exit 0 || exit 1"], "interval": "9s"}},
        [],
    ),
    ("healthcheck: {disable: true}", "", {"healthcheck": False}, []),
]


@pytest.mark.parametrize(("said", "lines", "keys", "notes"), KEPT_AND_COMPOSED)
def test_a_kept_dockerfile_has_what_a_compose_file_says(
    tmp_path: Path, said: str, lines: str, keys: dict[str, Any], notes: list[str]
) -> None:
    own = f"services: {{shop: {{build: ., {said}}}}}\n"
    found = draft(tmp_path, f"FROM debian\n{lines}\nCMD x\n", {**FILES, "compose.yaml": own})
    assert found.outcome == "kept"
    assert part(found.entry, keys) == keys
    assert [note.what for note in found.notes] == notes


def test_what_a_compose_file_says_in_vain_is_noted_also_where_the_reader_keeps_a_dockerfile(
    tmp_path: Path,
) -> None:
    own = "services: {shop: {build: ., entrypoint: [a], command: [b]}}\n"
    files = {**FILES, "requirements.txt": "--odd\n", "compose.yaml": own}
    found = draft(tmp_path, f'{HEAD}ENTRYPOINT ["x"]\n', files)
    assert found.outcome == "kept"
    assert [note.what for note in found.notes] == [FOLLOWS]


def test_a_secret_in_the_image_is_left_out_and_named(tmp_path: Path) -> None:
    found = draft(tmp_path, HEAD + "ENV API_KEY=abcdef MODE=fast\n" + CMD)
    assert found.entry["env"] == {"MODE": "fast"}
    assert [(each.rank, each.what) for each in found.notes] == [
        ("lost", "ENV API_KEY looks like a secret")
    ]


# Where the code is.


def test_the_folder_with_the_code_becomes_app_and_paths_follow(tmp_path: Path) -> None:
    text = """FROM python:3.12
WORKDIR /srv/shop
COPY . .
RUN pip install -r requirements.txt
ENV PYTHONPATH=/srv/shop/lib CONFIG=/srv/shop/conf.ini
CMD ["gunicorn", "-c", "/srv/shop/gunicorn.py", "main:app"]
"""
    found = entry(tmp_path, text)
    assert found["command"] == ["gunicorn", "-c", "/app/gunicorn.py", "main:app"]
    assert found["env"] == {"PYTHONPATH": "/app/lib", "CONFIG": "/app/conf.ini"}
    assert "workdir" not in found


def test_a_folder_in_that_folder_lies_there_too(tmp_path: Path) -> None:
    text = f"FROM python:3.12\nWORKDIR /srv/shop\nCOPY src .\nCOPY lib /srv/shop/lib\n{CMD}"
    files = {"src/main.py": "open('/srv/shop/lib/b.txt')\n", "lib/b.txt": ""}
    found = draft(tmp_path, text, files)
    assert found.outcome == "own"
    assert found.entry["copy"] == [
        {"source": "src", "to": "/srv/shop"},
        {"source": "lib", "to": "/srv/shop/lib"},
    ]


def test_code_that_names_its_folder_lies_there(tmp_path: Path) -> None:
    text = "FROM python:3.12\nWORKDIR /srv/shop\nCOPY . .\nVOLUME /srv/shop/data\n" + CMD
    files = {
        "main.py": "# /usr/a\nopen('/srv/shop/data.txt')\n",
        "tests/test_a.py": "'/srv/shop/x'",
    }
    found = entry(tmp_path, text, files)
    assert found["copy"] == [{"source": ".", "to": "/srv/shop"}]
    assert found["workdir"] == "/srv/shop"
    assert [*found["volumes"].values()] == ["/srv/shop/data"]


def test_code_in_a_folder_of_the_system_leaves_there_what_else_it_has(tmp_path: Path) -> None:
    """Repositories have `/opt` as the working folder of services beside what lies in `/opt/spark`."""
    text = "FROM python:3.12\nWORKDIR /opt\nCOPY . /opt\nENV PYTHONPATH=/opt JARS=/opt/spark/jars\n"
    text += 'VOLUME /opt/results\nCMD ["python", "/opt/main.py"]\n'
    found = entry(tmp_path, text, {"main.py": "open('/opt/spark/x')\n", "lib/a.py": ""})
    assert found["env"] == {"PYTHONPATH": "/app", "JARS": "/opt/spark/jars"}
    assert found["command"] == ["python", "/app/main.py"]
    assert list(found["volumes"].values()) == ["/opt/results"]
    assert "copy" not in found


@pytest.mark.parametrize("named", ["/opt", "/opt/main.py"])
def test_what_a_source_names_in_a_folder_of_the_system(tmp_path: Path, named: str) -> None:
    text = f"FROM python:3.12\nWORKDIR /opt\nCOPY . .\n{CMD}"
    files = {"main.py": f"open('{named}')\n"}
    if named == "/opt":
        assert why(tmp_path, text, files) == (
            "main.py:1: it names /opt: slimbake has the code in /app"
        )
    else:
        copies = entry(tmp_path, text, files)["copy"]
        assert copies == [{"source": "main.py", "to": "/opt/main.py"}]


def test_nothing_is_copied_to_a_home(tmp_path: Path) -> None:
    text = f"FROM python:3.12\nWORKDIR /root\nCOPY . .\n{CMD}"
    files = {"main.py": "open('/root/main.py')\n"}
    assert why(tmp_path, text, files) == (
        "main.py:1: it names /root/main.py: slimbake has the code in /app"
    )


@pytest.mark.parametrize(
    ("copied", "source", "place"),
    [
        ("COPY src /app\nCOPY lib /app/lib", "lib", "/app/src/lib"),
        ("COPY . /app\nCOPY conf/tool.xml /etc/tool.xml", "conf/tool.xml", "/etc/tool.xml"),
        ("COPY . /app\nCOPY conf /data/conf", "conf", "/data/conf"),
        # The repository has another `lib`, which is not copied.
        ("COPY main.py ./\nCOPY conf conf\nCOPY sync/lib lib", "sync/lib", "/app/lib"),
    ],
)
def test_what_is_copied_elsewhere_lies_there(
    tmp_path: Path, copied: str, source: str, place: str
) -> None:
    names = ("src/main.py", "main.py", "lib/b.py", "conf/tool.xml", "src/a/b.py", "sync/lib/c.py")
    files = dict.fromkeys(names, "")
    found = entry(tmp_path, f"FROM python:3.12\nWORKDIR /app\n{copied}\n{CMD}", files)
    assert found["copy"] == [{"source": source, "to": place}]


@pytest.mark.parametrize(
    ("copied", "command", "place"),
    [
        ("scripts/job.py", '["python", "/app/job.py"]', "/app/job.py"),
        ("scripts/job.py", '["python", "job.py"]', "/app/job.py"),
        ("docker/start.sh", '["/app/start.sh"]', "/app/start.sh"),
        ("docker/start.sh", '["start.sh"]', "/usr/local/bin/start.sh"),
    ],
)
def test_a_program_lies_where_it_finds_others_by_its_place(
    tmp_path: Path, copied: str, command: str, place: str
) -> None:
    files = {
        "lib/a.py": "",
        "scripts/job.py": "import lib.a",
        "docker/start.sh": '#!/bin/sh\ncd "$(dirname "$0")"\nexec python -m lib.a\n',
    }
    text = f"FROM python:3.12\nWORKDIR /app\nCOPY lib lib\nCOPY {copied} {place}\nCMD {command}\n"
    found = entry(tmp_path, text, files)
    assert found["copy"] == [{"source": copied, "to": place}]
    assert not any("scripts" in word or "docker" in word for word in found["command"])


def test_two_folders_at_one_place_keep_the_dockerfile(tmp_path: Path) -> None:
    text = f"FROM python:3.12\nWORKDIR /app\nCOPY . .\nCOPY a b /data/\n{CMD}"
    files = {"main.py": "", "a/x": "", "b/y": ""}
    assert "the code lies elsewhere" in why(tmp_path, text, files)


@pytest.mark.parametrize("target", ["/app/conf", "/root/conf", "/home/nonroot/conf", "/home", "/"])
def test_what_cannot_lie_there_keeps_the_dockerfile(tmp_path: Path, target: str) -> None:
    files = dict.fromkeys(("src/main.py", "src/conf/x", "lib/conf/a", "src/a/b.py", "src/c.py"), "")
    text = f"FROM python:3.12\nWORKDIR /app\nCOPY src /app\nCOPY lib/conf {target}\n{CMD}"
    assert "the code lies elsewhere" in why(tmp_path, text, files)


def test_a_file_that_is_renamed_lies_under_its_new_name(tmp_path: Path) -> None:
    text = "FROM python:3.12\nWORKDIR /app\nCOPY model2.bin model.bin\nCMD python\n"
    found = entry(tmp_path, text, {"model2.bin": ""})
    assert found["include"] == ["model2.bin"]
    assert found["copy"] == [{"source": "model2.bin", "to": "/app/model.bin"}]


INSTALLED = "COPY libs/text /tmp/text\nRUN pip install /tmp/text\nCOPY api ./\n"
# A Dockerfile behind its FROM, the repository's files, and where the code is.
PLACES: dict[str, tuple[str, tuple[str, ...], dict[str, Any]]] = {
    "only what is copied is sent": (
        "WORKDIR /code\nCOPY services/api/requirements.txt /tmp/\n"
        "RUN pip install -r /tmp/requirements.txt\nCOPY libs libs\n"
        'COPY services/api services/api\nCMD ["python", "services/api/main.py"]\n',
        ("services/api/main.py", "services/api/requirements.txt", "libs/a.py", "k.pem"),
        {
            "include": ["libs", "services/api"],
            "workdir": None,
            "requirements": "services/api/requirements.txt",
            "command": ["python", "services/api/main.py"],
        },
    ),
    "a folder that is installed may lie apart": (
        f"WORKDIR /srv\n{INSTALLED}{CMD}",
        ("api/main.py", "libs/text/pyproject.toml", "libs/text/a.py"),
        {
            "include": ["api", "libs/text"],
            "workdir": "/app/api",
            "requirements": ["./libs/text"],
            "command": ["python", "main.py"],
        },
    ),
    "a package below the root is run from app": (
        'COPY ./app /app\nCMD ["python", "-m", "app.main"]\n',
        ("app/main.py",),
        {
            "include": ["app"],
            "workdir": None,
            "requirements": [],
            "command": ["python", "-m", "app.main"],
        },
    ),
    "what a .dockerignore leaves out stays out": (
        f"WORKDIR /app\nCOPY api .\n{CMD}",
        ("api/main.py", "api/secret.pem", ".dockerignore"),
        {
            "include": ["api"],
            "workdir": "/app/api",
            "requirements": [],
            "command": ["python", "main.py"],
        },
    ),
    "a package that is found from above stays below": (
        "COPY comps /home/user/comps\nENV PYTHONPATH=/home/user\n"
        'WORKDIR /home/user/comps/agent\nCMD ["python", "agent.py"]\n',
        ("comps/agent/agent.py", "comps/__init__.py"),
        {"include": ["comps"], "workdir": "/app/comps/agent", "env": {"PYTHONPATH": "/app"}},
    ),
}
TEXTS = {".dockerignore": "**/*.pem\n", "services/api/requirements.txt": "x\n"}


@pytest.mark.parametrize("case", PLACES)
def test_the_context_has_what_is_copied(tmp_path: Path, case: str) -> None:
    text, names, keys = PLACES[case]
    texts = {"libs/text/pyproject.toml": PROJECT, **TEXTS}
    files = {name: texts.get(name, "") for name in names}
    found = entry(tmp_path, f"FROM python:3.12\n{text}", files)
    assert (found["context"], part(found, keys)) == (".", keys)


def test_a_folder_that_lies_apart_and_is_not_installed_keeps_the_dockerfile(tmp_path: Path) -> None:
    text = INSTALLED.replace("RUN pip install /tmp/text\n", "")
    files = {"api/main.py": "", "libs/text/pyproject.toml": PROJECT, "libs/text/a.py": ""}
    reason = why(tmp_path, f"FROM python:3.12\nWORKDIR /srv\n{text}{CMD}", files)
    assert "libs/text is copied to /tmp/text" in reason


def test_an_ignore_file_of_one_dockerfile_keeps_it_beside_one_of_the_context(
    tmp_path: Path,
) -> None:
    files = {"api/main.py": "", "api/x.pem": "", ".dockerignore": "**/*.pem\n"}
    text = "FROM python:3.12\nWORKDIR /app\nCOPY api .\n" + CMD
    reason = why(tmp_path, text, {**files, "Dockerfile.dockerignore": "api/data\n"})
    assert reason == "Dockerfile.dockerignore: Dockerfile.dockerignore says what is copied"


# What is installed.

UV = """\
FROM ghcr.io/astral-sh/uv:python3.12-bookworm-slim AS builder
WORKDIR /app
RUN --mount=type=cache,target=/root/.cache/uv \\
    --mount=type=bind,source=uv.lock,target=uv.lock \\
    --mount=type=bind,source=pyproject.toml,target=pyproject.toml \\
    uv sync --locked --no-install-project --no-dev
COPY . /app
RUN --mount=type=cache,target=/root/.cache/uv uv sync --locked --no-dev

FROM python:3.12-slim-bookworm
COPY --from=builder --chown=app:app /app /app
ENV PATH="/app/.venv/bin:$PATH"
WORKDIR /app
CMD ["uv", "run", "--no-sync", "shop"]
"""
PROJECT = '[project]\nname = "shop"\nversion = "1"\ndependencies = ["httpx"]\n'
BUILDS = f'{PROJECT}[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
LOCK = 'version = 1\n[[package]]\nname = "shop"\nversion = "1"\nsource = { virtual = "." }\n'


def test_a_project_that_its_dockerfile_installs_is_installed(tmp_path: Path) -> None:
    files = {
        "pyproject.toml": BUILDS,
        "uv.lock": LOCK,
        "src/shop/__init__.py": "",
        "tests/__init__.py": "",
    }
    found = entry(tmp_path, UV, files)
    assert (found["requirements"], found["command"]) == (["."], ["shop"])


def test_a_project_that_is_none_gives_its_dependencies(tmp_path: Path) -> None:
    files = {"pyproject.toml": PROJECT, "uv.lock": LOCK, "main.py": ""}
    assert entry(tmp_path, UV, files)["requirements"] == "pyproject.toml"


GROUPS = (
    f'{PROJECT}[project.optional-dependencies]\nweb = ["fastapi"]\n'
    '[dependency-groups]\ndev = ["pytest"]\nml = ["numpy"]\n'
)


POETRY = """\
[tool.poetry]
name = "shop"
version = "1"
description = ""
authors = []
[tool.poetry.dependencies]
python = "^3.11"
httpx = "*"
[tool.poetry.group.dev.dependencies]
pytest = "*"
"""


@pytest.mark.parametrize(
    ("project", "install", "found"),
    [
        (GROUPS, "uv sync", ["pyproject.toml", "pyproject.toml:dev"]),
        (GROUPS, "uv sync --no-dev", "pyproject.toml"),
        (
            GROUPS,
            "uv sync --no-dev --extra web --group ml",
            ["pyproject.toml[web]", "pyproject.toml:ml"],
        ),
        (GROUPS, "uv sync --no-dev --all-extras", "pyproject.toml[web]"),
        (GROUPS, "uv sync --only-group ml", ["pyproject.toml:ml"]),
        (POETRY, "poetry install --no-root --only main", "pyproject.toml"),
        (POETRY, "poetry install --no-root", ["pyproject.toml", "pyproject.toml:dev"]),
        (POETRY, "poetry install --without dev --no-root", "pyproject.toml"),
        (POETRY, "poetry install --only=main", ["."]),
        (POETRY, "poetry export -o r.txt && pip install -r r.txt", "pyproject.toml"),
    ],
)
def test_uv_and_poetry_install_what_their_options_say(
    tmp_path: Path, project: str, install: str, found: Any
) -> None:
    text = f"FROM python:3.12\nWORKDIR /app\nCOPY . .\nRUN pip install poetry\nRUN {install}\n{CMD}"
    files = {"pyproject.toml": project, "main.py": "", "shop/__init__.py": ""}
    assert entry(tmp_path, text, files)["requirements"] == found


def test_a_step_sees_the_files_that_are_copied_before_it(tmp_path: Path) -> None:
    text = (
        "FROM python:3.12-slim\nWORKDIR /app\nCOPY web/requirements.txt /app\n"
        f"RUN pip install -r requirements.txt\nCOPY . .\n{CMD}"
    )
    files = {**FILES, "web/requirements.txt": "flask\n"}
    assert entry(tmp_path, text, files)["requirements"] == "web/requirements.txt"


def test_a_file_that_a_builder_exports_is_installed_from_where_it_is_copied_to(
    tmp_path: Path,
) -> None:
    text = (
        "FROM python:3.12-slim AS b\nWORKDIR /tmp\nCOPY pyproject.toml /tmp/\n"
        "RUN poetry export -f requirements.txt --output requirements.txt\n"
        "FROM python:3.12-slim\nWORKDIR /code\n"
        "COPY --from=b /tmp/requirements.txt /code/requirements.txt\n"
        f"RUN pip install -r /code/requirements.txt\nCOPY . /code/\n{CMD}"
    )
    files = {"pyproject.toml": POETRY, "main.py": "", "shop/__init__.py": ""}
    assert entry(tmp_path, text, files)["requirements"] == "pyproject.toml"


@pytest.mark.parametrize(
    ("install", "found"),
    [
        (
            "pip install fastapi 'uvicorn[standard]>=0.30' --timeout 100",
            ["fastapi", "uvicorn[standard]>=0.30"],
        ),
        ("pip install --root-user-action ignore fastapi", ["fastapi"]),
        ("pip3 install -r requirements.txt gunicorn", ["requirements.txt", "gunicorn"]),
        ("python -m pip install -rrequirements.txt", "requirements.txt"),
        ("uv pip install --system -r requirements.txt", "requirements.txt"),
        ("pip wheel -w /wheels -r requirements.txt", "requirements.txt"),
        ("pip install /app/libs/common -e './libs/other[x]'", ["./libs/common", "./libs/other[x]"]),
        ("pip install --no-cache-dir '/app/libs/other[x]'", ["./libs/other[x]"]),
        ("pip install --upgrade https://e.org/a-1.zip", ["https://e.org/a-1.zip"]),
        ("pip install --cache-dir /app/x --proxy http://e.org:1 fastapi", ["fastapi"]),
    ],
)
def test_pip_installs_names_files_and_folders(tmp_path: Path, install: str, found: Any) -> None:
    other = PROJECT.replace("shop", "other") + "[project.optional-dependencies]\nx = []\n"
    files = {
        **FILES,
        "libs/common/pyproject.toml": PROJECT.replace("shop", "common"),
        "libs/other/pyproject.toml": other,
    }
    text = f"FROM python:3.12\nWORKDIR /app\nCOPY . .\nRUN {install}\n{CMD}"
    assert entry(tmp_path, text, files).get("requirements") == found


@pytest.mark.parametrize(
    "folder", ["/opt/venv", "/root/.local", "/usr/local/lib/python3.12/site-packages"]
)
def test_an_environment_of_a_builder_is_slimbakes_own(tmp_path: Path, folder: str) -> None:
    text = f"""FROM python:3.12 AS builder
ENV VIRTUAL_ENV=/opt/venv
COPY requirements.txt .
RUN python -m venv /opt/venv && pip install --user -r requirements.txt
FROM python:3.12-slim
COPY --from=builder {folder} {folder}
ENV PATH={folder}/bin:$PATH
WORKDIR /app
COPY main.py .
CMD ["{folder}/bin/uvicorn", "main:app"]
"""
    found = entry(tmp_path, text)
    assert found["requirements"] == "requirements.txt"
    assert found["command"][-1] == "main:app"


@pytest.mark.parametrize(
    ("install", "torch"),
    [
        ("pip install torch --index-url https://download.pytorch.org/whl/cpu", "cpu"),
        ("pip install torch --extra-index-url=https://download.pytorch.org/whl/cu128", "cu128"),
        ("pip install torch", ""),
    ],
)
def test_a_service_keeps_its_build_of_torch(tmp_path: Path, install: str, torch: str) -> None:
    text = f"FROM python:3.12\nWORKDIR /app\nCOPY . .\nRUN {install}\n{CMD}"
    decided = started(tmp_path, {"Dockerfile": text, "main.py": APP})
    assert decided.drafts[0].entry.get("torch", "cpu") == (torch or "cpu")
    broken = [each.what for each in decided.notes if each.rank == "breaks"]
    assert broken == ([] if torch else ["torch is its CPU build, and PyPI's has CUDA"])


def test_a_target_is_the_stage_that_counts(tmp_path: Path) -> None:
    text = PLAIN.replace("slim", "slim AS base", 1) + "FROM base AS dev\nONBUILD RUN make assets\n"
    compose = "services: {web: {build: {context: ., target: base}}}\n"
    decided = started(tmp_path, {**FILES, "Dockerfile": text, "compose.yaml": compose})
    assert decided.drafts[0].outcome == "own"
    kept = started(tmp_path, {"compose.yaml": compose.replace("base", "dev")})
    assert kept.drafts[0].entry == {"context": ".", "dockerfile": "Dockerfile", "target": "dev"}


def test_a_file_that_is_no_text_keeps_the_dockerfile(tmp_path: Path) -> None:
    written(tmp_path, {"Dockerfile": "FROM python:3.12\n" + "#" * 300_000, "main.py": ""})
    assert started(tmp_path).drafts[0].outcome == "kept"


CUDA = """\
FROM nvidia/cuda:12.6.3-runtime-ubuntu24.04
RUN apt-get update && apt-get install -y python3.12 python3-pip python3-dev curl ffmpeg \\
 && ln -s /usr/bin/python3.12 /usr/bin/python
WORKDIR /srv
COPY . .
RUN python3 -m pip install --break-system-packages -r requirements.txt
EXPOSE 8000
HEALTHCHECK CMD curl -f localhost:8000
CMD ["bash", "-c", "python3 main.py | tee log"]
"""


def test_an_image_with_more_than_python_becomes_from(tmp_path: Path) -> None:
    files = {**FILES, "requirements.txt": "torch\nfastapi\n"}
    found = draft(tmp_path, CUDA, files)
    assert found.outcome == "own, with a shell"
    entry = found.entry
    assert (entry["from"], entry["torch"]) == ("nvidia/cuda:12.6.3-runtime-ubuntu24.04", "cuda")
    assert entry["system"] == ["curl", "ffmpeg"]
    assert entry["command"] == ["bash", "-c", "python3 main.py | tee log"]
    assert "shell" not in entry, "it has the shell of its image"
    assert any("has for Python are not used" in note.what for note in found.notes)


@pytest.mark.parametrize(
    ("image", "python"),
    [
        ("tiangolo/uvicorn-gunicorn-fastapi:python3.11", "3.11"),
        ("nvcr.io/x/pytorch:2.4-py312", "3.12"),
        ("registry.example.com:5000/team/base@sha256:" + 64 * "0", ""),
    ],
)
def test_its_name_may_say_which_python_it_has(tmp_path: Path, image: str, python: str) -> None:
    found = draft(
        tmp_path, f"FROM {image}\nCOPY . /app\nRUN pip install x\nCMD python /app/main.py\n"
    )
    assert (found.entry["from"], found.python) == (image, python)


@pytest.mark.parametrize(
    ("line", "why_kept"),
    [
        (
            "RUN apt-get install -y python3-numpy",
            "Dockerfile:2: python3-numpy is for the Python of",
        ),
        ("RUN apk add curl", "Dockerfile:2: its image is Alpine's"),
    ],
)
def test_what_slimbake_does_not_do_in_such_an_image_keeps_it(
    tmp_path: Path, line: str, why_kept: str
) -> None:
    rest = "COPY . /app\nRUN pip install x\nCMD python /app/main.py\n"
    assert why(tmp_path, f"FROM ubuntu:24.04\n{line}\n{rest}").startswith(why_kept)


def test_packages_of_a_builder_stage_on_such_an_image_are_taken(tmp_path: Path) -> None:
    dockerfile = """\
FROM nvidia/cuda:12.6.3-devel-ubuntu24.04 AS build
RUN python3 -m venv /opt/venv && /opt/venv/bin/pip install httpx
FROM nvidia/cuda:12.6.3-runtime-ubuntu24.04
COPY --from=build /opt/venv /opt/venv
COPY main.py /app/
WORKDIR /app
CMD ["/opt/venv/bin/python", "main.py"]
"""
    entry = draft(tmp_path, dockerfile).entry
    assert entry["from"] == "nvidia/cuda:12.6.3-runtime-ubuntu24.04"
    assert (entry["requirements"], entry["command"]) == (["httpx"], ["python", "main.py"])


def test_a_dockerfile_without_an_end_is_kept(tmp_path: Path) -> None:
    assert (
        why(tmp_path, HEAD + "ENV A=b\n" * 999 + CMD)
        == "Dockerfile:1001: more than 1,000 instructions"
    )


def test_a_command_for_the_entrypoint_of_its_image_keeps_the_dockerfile(tmp_path: Path) -> None:
    text = 'FROM lambda/python\nRUN pip install fastapi\nCMD ["app.handler"]\n'
    assert "app.handler is no program" in why(tmp_path, text)
