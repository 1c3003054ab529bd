"""Which services a repository has, and what their compose files say of them."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.unit.adopt.repositories import FILES, PLAIN, drafts, started, written

from slimbake.adopt.compose import compose_facts, compose_files
from slimbake.adopt.init import Started, report
from slimbake.adopt.survey import survey

TREE = {"api/Dockerfile": PLAIN, **{f"api/{name}": text for name, text in FILES.items()}}


def composed(root: Path, service: str, rest: str = "", **files: str) -> Started:
    """What `init` decides on a compose file whose service `api` has these keys."""
    keys = "".join(f"    {line}\n" for line in service.splitlines())
    text = f"services:\n  api:\n    build: api\n{keys}{rest}"
    return started(root, {**TREE, "compose.yaml": text, **files})


def api(root: Path, service: str, rest: str = "", **files: str) -> dict[str, Any]:
    """The entry of that service."""
    return composed(root, service, rest, **files).drafts[0].entry


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("ports: ['8080:8000']", {"port": 8000, "publish": 8080}),
        (
            "ports: ['127.0.0.1:${PORT:-81}:8000/tcp', 9000]",
            {"port": 8000, "expose": [9000], "publish": 81},
        ),
        ("ports: [{target: 8000, published: '8000'}]", {"port": 8000}),
        ("expose: ['7000']", {"port": 7000}),
        ("command: celery -A 'main' worker", {"command": ["celery", "-A", "main", "worker"]}),
        ("command: a ${B:-c} $D '$$E'", {"command": ["a", "c", "$D", "$E"]}),
        ("command: [celery, worker]\nexpose: [1]", {"command": ["celery", "worker"], "port": 1}),
        ("entrypoint: python -m main", {"command": ["python", "-m", "main"]}),
        ("user: '1001:1002'", {"user": "1001:1002"}),
        ("user: root", {}),
        ("working_dir: /app/x", {"workdir": "/app/x"}),
        ("stop_signal: SIGINT\nprofiles: [jobs]", {"stop_signal": "SIGINT", "up": False}),
        ("tmpfs: /run/api", {"tmpfs": ["/run/api"]}),
        ("volumes: ['data:/data', './:/app', /cache]", {"volumes": {"data": "/data"}}),
        (
            "volumes: ['./data/x:/data:rw', './api:/x', './a.conf:/a']",
            {"volumes": {"data-x": "/data"}},
        ),
        ("volumes: ['models:/root/.cache']", {"volumes": {"models": "/home/nonroot/.cache"}}),
        ("env_file: api.env", {"env_file": ["api.env"]}),
        ("env_file: [{path: api.env, required: false}]", {"env_file": ["api.env"]}),
        ("healthcheck: {disable: true}", {"healthcheck": False}),
        (
            "healthcheck: {test: ['CMD', 'python', '-V'], retries: 2}",
            {"healthcheck": {"test": ["python", "-V"], "retries": 2}},
        ),
        (
            "healthcheck: {test: 'wget -q http://localhost || exit 1'}",
            {"healthcheck": ["wget", "-q", "http://localhost"], "system": ["wget"]},
        ),
        ("healthcheck: {interval: 3s}", {"healthcheck": {"interval": "3s"}}),
    ],
)
def test_compose_configures_services(tmp_path: Path, said: str, expected: dict[str, Any]) -> None:
    files = {"api.env": "A=1\n", "api/x/a.py": ""}
    found = api(tmp_path, said, **files)
    usual: dict[str, Any] = {"context": "api", "requirements": "requirements.txt"}
    if "command" not in expected:
        usual["command"] = ["uvicorn", "main:app", "--host", "0.0.0.0"]  # noqa: S104
        usual["port"] = 8000
    assert found == usual | expected


def test_a_value_stays_in_the_compose_file_where_checks_read_it_there(tmp_path: Path) -> None:
    said = "environment: {MODE: fast, URL: 'redis://cache'}\ndepends_on: [cache]"
    found = api(tmp_path, said, "  cache: {image: redis}\n")
    assert (found["start"], "environment" in found) == ({"with": ["cache"]}, False)


def test_values_are_written_once_and_secrets_never(tmp_path: Path) -> None:
    said = "environment:\n- MODE=fast\n- API_KEY=abcdef\n- TOKEN=${TOKEN}\n- HOME_URL\n- A=${B:-c}"
    decided = composed(tmp_path, said)
    entry = decided.drafts[0].entry
    own = {"TOKEN": "${TOKEN}", "HOME_URL": "${HOME_URL}", "A": "${B:-c}"}
    assert entry["environment"] == {"MODE": "fast", **own}
    assert "env" not in entry
    assert "abcdef" not in decided.text
    assert [each.what for each in decided.notes] == ["API_KEY may be secret"]


def test_services_wait_for_one_another_by_their_names_here(tmp_path: Path) -> None:
    rest = "  job_1: {build: api, command: python -V}\n  db: {image: postgres}\n"
    done = {"condition": "service_completed_successfully"}
    found = api(tmp_path, f"depends_on: {{job_1: {json.dumps(done)}}}", rest)
    assert found["depends_on"] == {"job-1": done}
    assert api(tmp_path, "depends_on: [job_1]", rest)["depends_on"] == ["job-1"]


def test_extends_includes_anchors_and_files_on_top_are_followed(tmp_path: Path) -> None:
    files = {
        "compose.yaml": "include: [more/compose.yaml]\nx-a: &a {tmpfs: /run/a}\nservices:\n"
        "  api: {extends: {file: base.yaml, service: base}, <<: *a, ports: ['1:8000']}\n",
        "base.yaml": "services: {base: {build: ./api, environment: [A=1], ports: ['2:9000']}}\n",
        "more/compose.yaml": "services: {job: {build: ../api, command: python -V}}\n",
        "prod.yaml": "services: {api: {environment: {B: '2'}}}\n",
        **TREE,
    }
    repository = survey(written(tmp_path, files))
    job, api = compose_facts(repository, ["compose.yaml", "prod.yaml"]).services
    assert (job.name, job.build and job.build.context) == ("job", "api")
    assert api.build
    assert (api.build.context, api.build.dockerfile) == ("api", "api/Dockerfile")
    assert api.environment == {"A": "1", "B": "2"}
    assert api.ports == ((2, 9000), (1, 8000))
    assert api.tmpfs == ("/run/a",)


def test_the_roots_compose_file_is_read_and_the_others_are_listed(tmp_path: Path) -> None:
    files = {
        "docker-compose.yml": "services: {api: {build: api}}\n",
        "docker-compose.prod.yml": "",
        "demo/compose.yaml": "services: {other: {build: ../api}}\n",
        **TREE,
    }
    decided = started(tmp_path, files)
    assert [each.name for each in decided.drafts] == ["api"]
    [note] = decided.notes
    assert note.what == "compose files: demo/compose.yaml, docker-compose.prod.yml"
    assert "`--compose FILE` names another" in note.advice
    named = started(tmp_path, compose=("demo/compose.yaml",))
    assert [each.name for each in named.drafts] == ["other"]


def test_without_one_in_the_root_those_in_folders_are_all_read(tmp_path: Path) -> None:
    service = (
        "services:\n  web: {build: ., volumes: ['data:/data'], depends_on: [job, db]}\n"
        "  job: {build: ., command: python -V}\n  db: {image: postgres}\n"
    )
    files: dict[str, str] = {}
    for folder in "ab":
        files |= {f"{folder}/Dockerfile": PLAIN, f"{folder}/compose.yaml": service}
        files |= {f"{folder}/{name}": text for name, text in FILES.items()}
    found = drafts(tmp_path, files)
    assert list(found) == ["a-web", "a-job", "b-web", "b-job"]
    for folder in "ab":
        web = found[f"{folder}-web"].entry
        assert web["volumes"] == {f"{folder}-data": "/data"}
        assert web["depends_on"] == [f"{folder}-job"]
    assert compose_files(survey(tmp_path)) == (["a/compose.yaml", "b/compose.yaml"], [])


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("Dockerfile", "shop"),
        ("services/mail/Dockerfile", "mail"),
        ("services/mail/src/Dockerfile", "mail"),
        ("docker/worker.Dockerfile", "worker"),
        ("docker/Dockerfile.worker", "worker"),
        ("python/Dockerfile", "python-service"),
        ("mail/docker/Dockerfile", "mail"),
    ],
)
def test_a_service_has_the_name_of_file_or_folder(tmp_path: Path, file: str, name: str) -> None:
    assert list(drafts(tmp_path / "shop", {file: "FROM python:3.12\n"})) == [name]


def test_a_dockerfile_in_its_own_folder_has_the_context_it_copies(tmp_path: Path) -> None:
    decided = started(tmp_path / "shop", {**FILES, "docker/Dockerfile": PLAIN})
    [found] = decided.drafts
    assert (found.name, found.entry["context"]) == ("shop", ".")
    assert [str(each) for each in found.notes] == [
        "docker/Dockerfile: its context is a folder above its own, which has what it copies"
    ]


def test_templates_hidden_files_and_other_ways_to_build_are_no_services(tmp_path: Path) -> None:
    others = {"Dockerfile.jinja2": "FROM {{ x }}\n", "docs/Dockerfile": "how to write one\n"}
    names = ("Dockerfile", "Dockerfile.dev", ".devcontainer/Dockerfile")
    decided = started(tmp_path / "shop", {**FILES, **others, **dict.fromkeys(names, PLAIN)})
    assert [each.name for each in decided.drafts] == ["shop"]
    assert [each.what for each in decided.notes] == ["Dockerfiles beside others: Dockerfile.dev"]


def test_an_image_of_the_repository_is_linked_to_those_that_stand_on_it(tmp_path: Path) -> None:
    files = {
        "compose.yaml": "services:\n  base: {build: base, image: acme/base}\n  web: {build: web}\n",
        "base/Dockerfile": 'FROM node:22\nCMD ["a"]\n',
        "web/Dockerfile": "FROM acme/base\n",
    }
    web = started(tmp_path, files).drafts[1]
    assert web.entry["contexts"] == {"acme/base": "target:base"}


def test_services_of_one_name_are_called_by_the_folders_around_them(tmp_path: Path) -> None:
    files = {}
    for folder in ("chat/ui/docker", "audio/ui/docker", "2023/web", "2024/web", "Chat/UI"):
        files[f"{folder}/Dockerfile"] = PLAIN
        files[f"{folder}/requirements.txt"] = "six\n"
    names = sorted(drafts(tmp_path, files))
    assert names == ["audio-ui", "chat-ui", "chat-ui-2", "web", "web-2"]


def test_a_build_outside_of_the_repository_is_named(tmp_path: Path) -> None:
    text = "services:\n  a: {build: ../a}\n  b: {build: 'https://example.com/b.git'}\n  api: {build: api}\n"
    decided = started(tmp_path, {**TREE, "compose.yaml": text})
    assert [each.name for each in decided.drafts] == ["api"]
    assert [each.what.partition(",")[0] for each in decided.notes] == [
        "a is built from ../a",
        "b is built from https:/example.com/b.git",
    ]


def test_build_arguments_and_contexts_come_along_with_a_kept_dockerfile(tmp_path: Path) -> None:
    build = (
        "services:\n  web:\n    build:\n      context: .\n      dockerfile: web/Dockerfile\n"
        "      args: {VERSION: '1', TOKEN: abcdef, MODE: '${MODE:-fast}'}\n"
        "      additional_contexts: {shared: ./shared, node: 'docker-image://node:22'}\n"
    )
    files = {"compose.yaml": build, "web/Dockerfile": "FROM node:22\n", "shared/a": ""}
    [found] = started(tmp_path, files).drafts
    assert found.entry == {
        "context": ".",
        "dockerfile": "web/Dockerfile",
        "args": {"VERSION": "1", "MODE": "fast"},
        "contexts": {"shared": "shared", "node": "docker-image://node:22"},
    }


def test_a_build_with_further_contexts_keeps_its_dockerfile(tmp_path: Path) -> None:
    build = "{context: api, additional_contexts: {base: 'service:other'}}"
    files = {**TREE, "compose.yaml": f"services:\n  api: {{build: {build}}}\n"}
    [found] = started(tmp_path, files).drafts
    assert str(found.why[0]).startswith("compose.yaml:2: its build has further contexts: base")
    assert [note.what.partition(" ")[0] for note in found.notes] == ["contexts.base:"]


def test_plain_torch_of_a_service_with_a_gpu_has_cuda(tmp_path: Path) -> None:
    gpu = "deploy: {resources: {reservations: {devices: [{driver: nvidia, count: 1}]}}}"
    decided = composed(tmp_path, gpu, **{"api/requirements.txt": "torch\n"})
    assert "    torch: cuda\n" in decided.text
    assert "CUDA" not in " ".join(each.what for each in decided.notes)


def test_a_file_of_variables_fills_in_the_paths_of_builds_and_nothing_else(tmp_path: Path) -> None:
    text = (
        "services:\n  api:\n    build: {context: ., dockerfile: '${FILE}', args: {A: '${FILE}'}}\n"
        "  job: {build: '${FOLDER}', command: python -V}\n"
    )
    files = {**TREE, "compose.yaml": text, ".env": "FILE=api/Dockerfile\nFOLDER=../s3cret\n"}
    facts = compose_facts(survey(written(tmp_path, files)), ["compose.yaml"])
    api, job = (each.build for each in facts.services)
    assert api
    assert (api.dockerfile, api.args) == ("api/Dockerfile", {"A": ""})
    assert "s3cret" not in started(tmp_path).text + str(job)


def test_what_is_included_is_of_one_project_and_its_folders_of_their_own(tmp_path: Path) -> None:
    web = "services:\n  web: {build: ../api, depends_on: [job, db], volumes: ['./data:/data']}\n"
    files = {
        **TREE,
        "compose.yaml": "include: [a/compose.yaml, b/compose.yaml]\n"
        "services:\n  gate: {build: api, depends_on: [web, db]}\n",
        "a/compose.yaml": f"{web}  db: {{image: postgres}}\n",
        "b/compose.yaml": "services: {job: {build: ../api, volumes: ['./data:/data']}}\n",
    }
    decided = started(tmp_path, files)
    entries = {draft.name: draft.entry for draft in decided.drafts}
    waits_for = {name: entry.get("depends_on") for name, entry in entries.items()}
    assert waits_for == {"web": ["job"], "job": None, "gate": ["web"]}
    volumes = [entries[name]["volumes"] for name in ("web", "job")]
    assert volumes == [{"a-data": "/data"}, {"b-data": "/data"}]
    assert [note.what for note in decided.notes] == [
        "the mount of ./data (the volume a-data is in its place, empty at first)",
        "the mount of ./data (the volume b-data is in its place, empty at first)",
    ]


def test_a_dockerfile_in_a_compose_file_is_named_and_no_other_is_taken(tmp_path: Path) -> None:
    text = "services:\n  api:\n    build: {context: api, dockerfile_inline: FROM node}\n"
    decided = started(tmp_path, {**TREE, "compose.yaml": text})
    assert [draft.origin[0].file for draft in decided.drafts] == ["api/Dockerfile"]
    assert [str(note) for note in decided.notes] == [
        "compose.yaml:2: api has its Dockerfile in the compose file\n"
        "  move `dockerfile_inline` into a file, and name that in `dockerfile`"
    ]


def test_a_context_above_a_dockerfile_is_said_once(tmp_path: Path) -> None:
    files = {f"{folder}/{name}": text for folder in "ab" for name, text in FILES.items()}
    files |= {"a/docker/Dockerfile": PLAIN, "b/docker/Dockerfile": PLAIN}
    lines = report(started(tmp_path, files))
    assert [line for line in lines if "context" in line] == [
        "  a/docker/Dockerfile: its context is a folder above its own, which has what it copies"
        " (and in 1 more place)"
    ]


@pytest.mark.parametrize(
    ("ports", "entry", "notes"),
    [
        ("['80:8000', '90:9000']", {"port": 8000, "publish": 80}, ["port 90 of the host"]),
        ("['80:8000', 9000]", {"port": 8000, "publish": 80}, []),
        ("['80:8000', '5-6:5-6']", {"port": 8000, "publish": 80}, ["the ports 5-6"]),
    ],
)
def test_further_ports_are_exposed_and_what_is_not_published_is_said(
    tmp_path: Path, ports: str, entry: dict[str, Any], notes: list[str]
) -> None:
    text = f"services: {{api: {{build: api, ports: {ports}}}}}\n"
    own = started(tmp_path / "own", {**TREE, "compose.yaml": text})
    further = {"expose": [9000]} if "9000" in ports else {}
    assert own.drafts[0].entry == own.drafts[0].entry | entry | further
    theirs = {**TREE, "api/Dockerfile": "FROM node\n", "compose.yaml": text}
    kept = started(tmp_path / "kept", theirs)
    assert kept.drafts[0].entry == kept.drafts[0].entry | entry
    for decided in (own, kept):
        assert [note.what for note in decided.notes] == notes


def test_a_volume_may_lie_in_app_of_a_kept_dockerfile(tmp_path: Path) -> None:
    files = {
        "api/Dockerfile": "FROM node\n",
        "compose.yaml": "services: {api: {build: api, volumes: ['data:/app/data'], tmpfs: /app/x}}\n",
    }
    [found] = started(tmp_path, files).drafts
    assert (found.entry["volumes"], found.entry["tmpfs"]) == ({"data": "/app/data"}, ["/app/x"])


def test_a_build_on_top_changes_what_it_says_alone(tmp_path: Path) -> None:
    files = {
        **TREE,
        "compose.yaml": "services: {api: {build: {context: api, dockerfile: Dockerfile}}}\n",
        "prod.yaml": "services: {api: {build: {args: {A: b}}}}\n",
    }
    facts = compose_facts(survey(written(tmp_path, files)), ["compose.yaml", "prod.yaml"])
    build = facts.services[0].build
    assert build
    assert (build.context, build.dockerfile, build.args) == ("api", "api/Dockerfile", {"A": "b"})
