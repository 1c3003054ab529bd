"""`slimbake init` as a whole: what it writes, what it says, and what bad repositories do to it."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.adopt.repositories import FILES, PLAIN, started, written

from slimbake.adopt.init import InitRequest, init, report, start
from slimbake.adopt.model import Draft, Note
from slimbake.config import manifest
from slimbake.console import QUIET, Console
from slimbake.errors import UsageError
from slimbake.fleet import resolve
from slimbake.plan import plan

SHOP = {
    "compose.yaml": "services:\n  web: {build: web, depends_on: [db]}\n  job: {build: job}\n  db: {image: postgres}\n",
    "web/Dockerfile": PLAIN,
    "job/Dockerfile": PLAIN + "RUN pip install $(cat more)\n",
    **{f"{folder}/{name}": text for folder in ("web", "job") for name, text in FILES.items()},
}


def test_it_writes_the_manifest_alone_and_says_what_became_of_each_service(tmp_path: Path) -> None:
    root = written(tmp_path / "shop", SHOP)
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    said: list[str] = []
    lines = init(root / "services.yaml", InitRequest(), Console(said.append))
    assert said == ["wrote services.yaml"]
    assert lines[:13] == [
        "service  becomes  from, or why",
        "web      own      compose.yaml:2",
        "job      kept     job/Dockerfile:8: RUN needs a shell: `$(`: a command makes",
        "                  part of another",
        "",
        "1 own, 1 kept",
        "ready-made, stay in the compose file: db",
        "",
        "what keeps a Dockerfile; without all of a service's lines slimbake builds it:",
        "  job:",
        "    job/Dockerfile:8: RUN needs a shell: `$(`: a command makes part of another",
        "      let it run plain commands",
        "",
    ]
    after = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert {path.name for path in after.keys() - before.keys()} == {"services.yaml"}
    decided = plan(resolve(manifest(root / "services.yaml")))
    assert {"web", "job"} <= {each.name for each in decided.targets}


def test_a_dry_run_prints_the_manifest_and_writes_nothing(tmp_path: Path) -> None:
    root = written(tmp_path / "shop", SHOP)
    lines = init(root / "services.yaml", InitRequest(dry_run=True), QUIET)
    assert "  web:  # compose.yaml:2, web/Dockerfile" in lines
    assert not (root / "services.yaml").exists()


def test_beside_a_manifest_it_says_what_is_lacking_and_adds_one(tmp_path: Path) -> None:
    file = written(tmp_path / "shop", SHOP) / "services.yaml"
    file.write_text('project: shop\npython: "3.12"\nservices: {}\n')
    assert init(file, InitRequest(), QUIET)[1:] == [
        "it lacks web (compose.yaml:2): `slimbake init --service web`",
        "it lacks job (compose.yaml:3): `slimbake init --service job`",
    ]
    assert init(file, InitRequest(service="web"), QUIET)[0] == "services.web is in services.yaml"
    assert [each.name for each in manifest(file).services] == ["web"]
    said = init(file, InitRequest(service="web"), QUIET)
    assert said == ["services.web is in services.yaml already: edit that entry"]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (InitRequest(service="nope"), "there is no service 'nope' here"),
        (InitRequest(compose=("nope.yaml",)), "nope.yaml is not there"),
    ],
)
def test_what_is_not_there_is_named(tmp_path: Path, asked: InitRequest, message: str) -> None:
    written(tmp_path, SHOP)
    with pytest.raises(UsageError, match=message):
        start(tmp_path / "services.yaml", asked)


def test_a_repository_without_services_says_how_to_begin(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as raised:
        start(written(tmp_path, {"main.py": ""}) / "services.yaml", InitRequest())
    assert "no compose file that builds one, no Dockerfile" in raised.value.message
    assert "slimbake add NAME" in raised.value.hint


def several(folders: dict[str, str]) -> dict[str, str]:
    """A repository of services in folders, each with this image."""
    files = {}
    for name, image in folders.items():
        files[f"{name}/Dockerfile"] = f'FROM {image}\nCOPY main.py .\nCMD ["python", "main.py"]\n'
        files[f"{name}/main.py"] = ""
    return files


@pytest.mark.parametrize(
    ("images", "python", "own", "moved"),
    [
        ({"a": "python:3.12", "b": "python:3.12", "c": "python:3.13"}, "3.12", {"c": "3.13"}, {}),
        ({"a": "python:3.11", "b": "python:3.12"}, "3.12", {"a": "3.11"}, {}),
        ({"a": "python:3", "b": "python:3.11.4-slim"}, "3.11", {}, {}),
        ({"a": "python:3.9", "b": "python:3.8"}, "3.11", {}, {"a": "3.9", "b": "3.8"}),
        ({"a": "public.ecr.aws/docker/library/python:3.12", "b": "python:slim"}, "3.12", {}, {}),
    ],
)
def test_a_service_has_the_python_of_its_image_and_a_note_where_there_is_none(
    tmp_path: Path, images: dict[str, str], python: str, own: dict[str, str], moved: dict[str, str]
) -> None:
    decided = started(tmp_path, several(images))
    assert f'python: "{python}"' in decided.text
    assert {each.outcome for each in decided.drafts} == {"own"}
    entries = {draft.name: draft.entry for draft in decided.drafts}
    assert {name: e["python"] for name, e in entries.items() if "python" in e} == own
    assert {str(note) for note in decided.notes} == {
        f"{name}/Dockerfile: Python {python} in place of its image's {old}\n"
        "  `slimbake lock` and the start check tell whether it works"
        for name, old in moved.items()
    }


PROJECT = '[project]\nname = "a"\nrequires-python = "{}"\n'


@pytest.mark.parametrize(
    ("requires", "python"),
    [(">=3.11", "3.13"), (">=3.11,<3.13", "3.12"), ("^3.11", "3.13"), ("x", "3.13")],
)
def test_projects_choose_the_python_of_images(tmp_path: Path, requires: str, python: str) -> None:
    files = {**several({"a": "python"}), "a/pyproject.toml": PROJECT.format(requires)}
    assert f'python: "{python}"' in started(tmp_path, files).text


def test_a_project_that_refuses_its_image_s_python_has_the_nearest(tmp_path: Path) -> None:
    files = several(dict.fromkeys("abcd", "python:3.11"))
    files["c/pyproject.toml"] = PROJECT.format(">=3.12")
    decided = started(tmp_path, files)
    pythons = {draft.name: draft.entry.get("python") for draft in decided.drafts}
    assert pythons == {"a": None, "b": None, "c": "3.12", "d": None}
    assert "c/Dockerfile: Python 3.12 in place of its image's 3.11" in str(decided.notes[0])


def test_a_project_for_none_of_our_pythons_keeps_its_dockerfile(tmp_path: Path) -> None:
    files = {**several({"a": "python:3.10"}), "a/pyproject.toml": PROJECT.format("<3.11")}
    (draft,) = started(tmp_path, files).drafts
    assert draft.outcome == "kept"
    assert "its project wants Python <3.11, and slimbake has 3.11 to 3.15" in str(draft.why)


def test_a_further_service_has_its_own_python_beside_the_manifest_s(tmp_path: Path) -> None:
    file = written(tmp_path / "shop", several({"a": "python:3.13"})) / "services.yaml"
    file.write_text('project: shop\npython: "3.12"\nservices: {}\n')
    init(file, InitRequest(service="a"), QUIET)
    assert [each.python for each in manifest(file).services] == ["3.13"]


# What the manifest's reader refuses goes, and is named.


def web_of(root: Path, said: str) -> tuple[Draft, tuple[Note, ...]]:
    """The service `web` of a compose file that says this of it, and the notes on the fleet."""
    text = f"services:\n  web:\n    build: web\n    {said}\n"
    decided = started(root, {**SHOP, "compose.yaml": text})
    return next(each for each in decided.drafts if each.name == "web"), decided.notes


@pytest.mark.parametrize(
    ("said", "gone"),
    [
        ("volumes: ['data:/app']", "volumes.data: a volume at '/app' would hide"),
        ("tmpfs: [/usr/x]", "tmpfs[0]: a tmpfs at '/usr/x' would hide"),
        ("stop_signal: QUIT", "stop_signal: 'QUIT' is not allowed here"),
        ("healthcheck: {test: ['CMD', 'x'], interval: soon}", "healthcheck.interval:"),
        ("env_file: [../out.env]", "env_file[0]: '../out.env' lies outside the repository"),
        ("environment: {'a b': c}", "environment"),
        ("depends_on: [web]", "depends_on"),
    ],
)
def test_what_a_manifest_does_not_take_is_named(tmp_path: Path, said: str, gone: str) -> None:
    web, notes = web_of(tmp_path, said)
    assert web.outcome == "own"
    assert any(gone in note.what for note in notes if note.rank == "lost"), notes


def test_of_a_list_exactly_what_is_refused_goes(tmp_path: Path) -> None:
    web, _ = web_of(tmp_path, "tmpfs: [/usr/x, /usr/y, /data/a, /data/b]")
    assert web.entry["tmpfs"] == ["/data/a", "/data/b"]


def test_unreadable_requirements_keep_the_dockerfile(tmp_path: Path) -> None:
    files = {**SHOP, "job/Dockerfile": PLAIN, "web/requirements.txt": "--trusted-thing x\n"}
    decided = started(tmp_path, files)
    assert {each.name: each.outcome for each in decided.drafts} == {"web": "kept", "job": "own"}
    [[why]] = [each.why for each in decided.drafts if each.why]
    refused = "web/requirements.txt:1: the option --trusted-thing is not supported"
    assert str(why).startswith(refused)


def test_a_requirement_that_begins_with_a_bracket_is_no_file(tmp_path: Path) -> None:
    text = PLAIN.replace("-r requirements.txt", "[x]")
    assert text != PLAIN
    decided = started(tmp_path, {**SHOP, "web/Dockerfile": text})
    assert {each.name: each.outcome for each in decided.drafts}["web"] == "kept"


@pytest.mark.parametrize("line", ["EXPOSE N", "HEALTHCHECK --retries=N CMD x", "COPY --from=N a b"])
def test_a_number_of_thousands_of_digits_is_none(tmp_path: Path, line: str) -> None:
    text = f"{PLAIN}{line.replace('N', '9' * 5000)}\n"
    decided = started(tmp_path, {**SHOP, "web/Dockerfile": text})
    assert [each.name for each in decided.drafts][:1] == ["web"]


def test_a_service_with_two_faults_keeps_its_dockerfile_and_is_not_lost(tmp_path: Path) -> None:
    text = PLAIN.replace("EXPOSE", "ENV SLIMBAKE_A=1 SLIMBAKE_B=2\nEXPOSE")
    decided = started(tmp_path, {**SHOP, "web/Dockerfile": text})
    assert {each.name: each.outcome for each in decided.drafts}["web"] == "kept"


def test_two_services_with_one_port_of_the_host_keep_one(tmp_path: Path) -> None:
    text = "services:\n  web: {build: web, ports: ['80:8000']}\n  job: {build: web, ports: ['80:8000']}\n"
    decided = started(tmp_path, {**SHOP, "compose.yaml": text, "job/Dockerfile": "#\n"})
    assert {each.outcome for each in decided.drafts} == {"own"}


INSTRUCTIONS = [
    "FROM python:3.12-slim", "FROM python:3.12 AS b", "FROM b", "FROM $X", "FROM node:22 AS web", "FROM",
    "ARG X=python:3.11", "ARG", "ENV A=b C='d e'", "ENV A b", "ENV", "ENV PYTHONPATH=/app/lib", "WORKDIR /app",
    "WORKDIR x", "WORKDIR", "COPY . .", "COPY a /app/a", "COPY *.txt /x/", "COPY --from=b /app /app", "COPY",
    "COPY --from=0 /x /y", "COPY ../x .", "COPY <<E /x", "E", "RUN pip install -r requirements.txt", "RUN",
    "RUN pip install .", "RUN uv sync --package x", "RUN poetry install", "RUN [", "RUN <<E", "\\", "RUN 'a",
    "RUN apt-get install -y curl libpq-dev", "RUN if [ $A = b ]; then x; fi", "RUN fi", "RUN mkdir -p /a /app/b",
    "RUN useradd -u 5 x", "USER x", "USER 0", "CMD", "CMD []", "CMD ['a']", "CMD a && b", "CMD $A", "CMD python main.py",
    'CMD ["python", "main.py"]', 'ENTRYPOINT ["./run.sh"]', "ENTRYPOINT exec run.sh", "EXPOSE 80 70000 x/udp",
    "VOLUME /a /app", "VOLUME [", "HEALTHCHECK NONE", "HEALTHCHECK CMD curl x", "HEALTHCHECK --retries=x CMD",
    "ONBUILD x", "LABEL a=b", "STOPSIGNAL 9", "ADD http://x y", "RUN --mount=target=/x y", "SHELL [\"/bin/bash\", \"-c\"]",
    "\ufeff", "# escape=`", "\t é'",
]  # fmt: skip
KEYS = [
    "image: x", "ports: ['80:80', 'a:b', {target: 1}]", "ports: 3", "command: 'a \"b'", "command: [a, 1, null]",
    "environment: [A, B=c, '=d']", "environment: {A: null, SLIMBAKE_X: 1, B: 'x: y\\n'}", "volumes: ['a:/app', 'b:/', {}]",
    "volumes: {a: b}", "depends_on: [a, c]", "depends_on: {b: {condition: nope}}", "env_file: [x, {path: /y}]",
    "healthcheck: {test: NONE}", "healthcheck: {test: [CMD], interval: x}", "user: me", "tmpfs: ['', /app]",
    "extends: b", "extends: {service: zz}", "working_dir: '..'", "entrypoint: ''", "expose: [x, 99999999]",
    "profiles: x", "deploy: {resources: 1}", "stop_signal: ''", "build: {context: ., target: b, args: [X]}",
    "build: {context: a, dockerfile: ../Dockerfile}", "build: null", "build: 7", "<<: {tmpfs: /x}",
]  # fmt: skip


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(st.sampled_from(INSTRUCTIONS), max_size=14),
    st.lists(st.lists(st.sampled_from(KEYS), max_size=4), max_size=3),
)
def test_of_all_that_it_reads_it_ends_and_what_it_writes_the_manifests_reader_takes(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], services: list[list[str]]
) -> None:
    root = tmp_path_factory.mktemp("any")
    files = {"a/x.py": "", "run.sh": "#!/bin/sh\n", "pyproject.toml": "[project]\nname = 'a'\n"}
    text = "services:\n"
    for name, keys in zip("abc", services, strict=False):
        text += f"  {name}:\n    build: .\n" + "".join(f"    {key}\n" for key in keys)
    body = "\n".join(["FROM python:3.12", *lines]) + "\n"
    try:
        decided = started(root, {"Dockerfile": body, "compose.yaml": text, **files, **FILES})
    except UsageError:
        return
    assert report(decided)
    assert all(each.outcome != "kept" or each.why for each in decided.drafts)


# Repositories that mean harm.


def test_links_out_pipes_and_folders_in_place_of_files_are_never_opened(tmp_path: Path) -> None:
    outside = written(tmp_path / "outside", {"secret.txt": "s3cret", "Dockerfile": PLAIN})
    root = written(tmp_path / "shop", SHOP)
    (root / "out").symlink_to(outside)
    (root / "requirements.txt").symlink_to(outside / "secret.txt")
    (root / "docker-compose.yml").symlink_to("/dev/zero")
    os.mkfifo(root / "Dockerfile")
    os.mkfifo(root / "web/requirements.in")
    (root / "web/.dockerignore").mkdir()
    (root / "loop").symlink_to(root)
    decided = started(root)
    assert {each.name for each in decided.drafts} == {"job"}
    lost = [each for each in decided.notes if each.rank == "breaks"]
    assert {each.place.file for each in lost} == {"Dockerfile", "web/.dockerignore"}
    assert "s3cret" not in decided.text + "\n".join(report(decided))


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefghijklmnopqrstuvwxy", "bcdefghijklmnopqrstuvwxyz", strict=True)),
        "services: " + "[" * 5000,
        "services: {web: {build: web, <<: &x {<<: *x}}}",
        "include: [compose.yaml, compose.yaml]\nservices: {web: {build: web, extends: web}}",
        "services: {web: {build: web, command: \"\\0\"}}",
        "services: [web]\n---\nx",
        "\0\1",
        "x" * 400_000,
        "services: {'we\\nb': {build: web}, \"\\u202e\": {build: web}}",
    ],
)  # fmt: skip
def test_a_compose_file_that_means_harm_ends_in_words(tmp_path: Path, text: str) -> None:
    decided = started(tmp_path, {**SHOP, "compose.yaml": text})
    assert decided.drafts


def test_names_that_cannot_be_printed_are_left_out(tmp_path: Path) -> None:
    odd = ("we\nb/Dockerfile", "a\x1b[31m/Dockerfile", "x/Dockerfile.\u202e")
    decided = started(tmp_path, {**SHOP, **dict.fromkeys(odd, PLAIN)})
    assert {each.name for each in decided.drafts} == {"web", "job"}
    assert decided.text.isascii()


def test_what_a_dockerfile_says_stays_in_its_comment(tmp_path: Path) -> None:
    text = 'FROM python:3.12\nRUN ["x", "\\n  evil:\\n    context: /"]\nCMD x\n'
    decided = started(tmp_path, {"Dockerfile": text})
    assert "evil" not in decided.text.replace("# kept", "#").split("\n")[-2]
    assert len(decided.drafts) == 1


def test_no_secret_of_a_file_of_variables_reaches_what_is_written(tmp_path: Path) -> None:
    text = (
        "services:\n  web:\n    build: {context: web, args: {A: '${PASSWORD}'}}\n    env_file: .env\n"
        "    environment: {PASSWORD: '${PASSWORD}', URL: 'x://${USER}:${PASSWORD}@y'}\n"
    )
    files = {**SHOP, "compose.yaml": text, ".env": "PASSWORD=s3cret\nUSER=me\n"}
    root = written(tmp_path, files)
    lines = init(root / "services.yaml", InitRequest(), QUIET)
    assert "s3cret" not in (root / "services.yaml").read_text() + "\n".join(lines)


BLOCKED = """\
FROM python:3.12-slim
RUN pip install $(cat more)
RUN pip install -c c.txt httpx
COPY main.py /app/
CMD python /app/main.py
"""


def test_a_kept_service_has_all_the_lines_that_keep_it(tmp_path: Path) -> None:
    files = {"a/Dockerfile": BLOCKED, "a/main.py": "", "b/Dockerfile": "FROM node:22\nCMD node\n"}
    files["c/Dockerfile"] = "FROM python:3.12\nONBUILD COPY . .\nCMD python -m http.server\n"
    lines = report(started(tmp_path, files))
    [head] = [line for line in lines if line.startswith("what keeps a Dockerfile; ")]
    shown = [line for line in lines[lines.index(head) + 1 :] if line.startswith("  ")]
    assert [line for line in shown if line[:6].count(" ") < 5] == [
        "  c:",
        "    c/Dockerfile:2: ONBUILD",
        "  a:",
        "    a/Dockerfile:2: RUN needs a shell: `$(`: a command makes part of another",
        "    a/Dockerfile:3: the repository has no c.txt with constraints",
    ]
    assert "It shares no layers of packages between them, and makes no image smaller." in lines


@pytest.mark.parametrize(
    ("platform", "written_there"),
    [("", ()), ("linux/amd64", ()), ("linux/riscv64", ()), ("linux/arm64", ("linux/arm64",))],
)
def test_an_engine_of_another_platform_than_the_default_is_written(
    platform: str, written_there: tuple[str, ...], tmp_path: Path
) -> None:
    file = written(tmp_path / "shop", SHOP) / "services.yaml"
    init(file, InitRequest(platform=platform), QUIET)
    assert manifest(file).platforms == written_there
