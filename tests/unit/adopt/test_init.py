"""`slimbake init`: what it writes, what it leaves alone, and that it goes on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from slimbake.adopt.add import add
from slimbake.adopt.init import InitRequest, Started, init, next_steps, start
from slimbake.adopt.model import Draft
from slimbake.cli import slimbake
from slimbake.config import MANIFEST_SCHEMA, manifest
from slimbake.config.compose import defined
from slimbake.config.specs import name_of
from slimbake.console import QUIET
from slimbake.errors import ManifestError, UsageError
from slimbake.fleet import resolve
from slimbake.host.files import write_atomically
from slimbake.plan import plan
from slimbake.render.generated import drift, generate, repair

FIXTURES = Path(__file__).parents[2] / "fixtures/repositories"
DOCKERFILE = (
    "FROM python:3.11-slim\nWORKDIR /app\nCOPY . .\nRUN pip install -r requirements.txt\n"
    'CMD ["python", "-m", "{}"]\n'
)


def repository(root: Path, *services: str) -> Path:
    for name in services:
        folder = root / "services" / name
        (folder / name).mkdir(parents=True)
        (folder / "Dockerfile").write_text(DOCKERFILE.format(name))
        (folder / "requirements.txt").write_text("httpx\n")
        (folder / name / "__init__.py").touch()
        (folder / name / "__main__.py").write_text("print(1)\n")
    return root / "services.yaml"


def files(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and ".slimbake" not in path.parts
    }


def test_a_dry_run_prints_the_manifest_and_writes_nothing(tmp_path: Path) -> None:
    file = repository(tmp_path, "one")
    before = files(tmp_path)
    done = CliRunner().invoke(slimbake, ["init", "--dry-run", "-f", str(file)])
    assert done.exit_code == 0, done.output
    assert "services:\n  one:  # services/one/Dockerfile\n" in done.output
    assert files(tmp_path) == before


def test_a_folder_s_name_stays_in_its_comment(tmp_path: Path) -> None:
    file = repository(tmp_path, "one\nproject: forged #\x1b[2J")
    assert CliRunner().invoke(slimbake, ["init", "-f", str(file)]).exit_code == 0
    assert "project: forged" not in {line[:15] for line in file.read_text().splitlines()}
    assert "\x1b" not in file.read_text()
    assert manifest(file).services[0].context == "services/one\nproject: forged #\x1b[2J"


def test_dot_env_is_a_file_of_variables_like_others(tmp_path: Path) -> None:
    file = repository(tmp_path, "one")
    (tmp_path / "compose.yaml").write_text(
        "services:\n  one:\n    build: services/one\n    env_file: [.env, settings/one.env]\n"
    )
    init(file, InitRequest(), QUIET)
    assert manifest(file).services[0].env_file == (".env", "settings/one.env")


def test_variables_that_compose_fills_in_are_those_of_containers(tmp_path: Path) -> None:
    file = repository(tmp_path, "one", "two")
    (tmp_path / "services/one/one/settings.py").write_text(
        "import os\nos.environ['PORT'], os.environ['DSN']\n"
    )
    (tmp_path / ".env").write_text("PORT=8088\nLEVEL=debug\n")
    (tmp_path / "compose.yaml").write_text(
        "services:\n  one:\n    build: services/one\n    ports: ['${PORT}:8088']\n"
        "    environment:\n      DSN: 'postgresql://me:${PASSWORD}@db/x$$'\n"
        "      PORT:\n      LEVEL: INFO\n      LANG: '${LEVEL}'\n      MODE: '${MODE:-a}'\n"
        "  two: {build: services/two}\n"
    )
    printed = "\n".join(init(file, InitRequest(), QUIET))
    one, two = manifest(file).services
    assert one.environment == (
        ("DSN", "postgresql://me:${PASSWORD}@db/x$$"),
        ("PORT", "${PORT}"),
        ("MODE", "${MODE:-a}"),
    )
    assert dict(one.env).items() >= {"LEVEL": "INFO", "MODE": "a"}.items()
    assert one.start and dict(one.start.env) == {"PORT": "1111", "DSN": "postgresql://localhost"}
    assert (one.env_file, two.environment) == ((), ())
    assert "PASSWORD" not in printed


def test_a_service_that_keeps_its_dockerfile_has_them_too(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text('FROM node:22\nENV PORT=80\nCMD ["node", "a.js"]\n')
    (tmp_path / "compose.yaml").write_text(
        "services:\n  web: {build: ., environment: {TOKEN: '${TOKEN}', A: b}}\n"
    )
    [web] = start(tmp_path / "services.yaml", InitRequest()).drafts
    assert (web.entry["env"], web.entry["environment"]) == ({"A": "b"}, {"TOKEN": "${TOKEN}"})


def test_the_schema_that_the_manifest_names_is_committed_with_bake(tmp_path: Path) -> None:
    file = repository(tmp_path, "one")
    init(file, InitRequest(), QUIET)
    name = file.read_text().partition("\n")[0].partition("$schema=")[2]
    assert name.startswith("bake/")
    reported, shipped = (
        json.loads((tmp_path / name).read_text()),
        json.loads(MANIFEST_SCHEMA.read_text()),
    )
    assert {**reported, "$comment": ""} == {**shipped, "$comment": ""}
    (tmp_path / name).unlink()
    generated = generate(plan(resolve(manifest(file))), tmp_path)
    repair(drift(generated, tmp_path), tmp_path)
    assert json.loads((tmp_path / name).read_text()) == reported
    assert not drift(generated, tmp_path)


def test_a_second_call_changes_nothing_and_names_what_is_new(tmp_path: Path) -> None:
    file = repository(tmp_path, "one")
    init(file, InitRequest(), QUIET)
    file.write_text(file.read_text() + "# mine\n")
    repository(tmp_path, "two")
    before = files(tmp_path)
    lines = init(file, InitRequest(), QUIET)
    assert lines[:2] == [
        "services.yaml exists already, and `init` does not change it",
        "it lacks two (services/two/Dockerfile): `slimbake init --service two`",
    ]
    assert files(tmp_path) == before


def test_one_service_is_added_to_the_manifest_that_is_there(tmp_path: Path) -> None:
    file = repository(tmp_path, "one")
    init(file, InitRequest(), QUIET)
    before = file.read_text() + "# mine\n"
    file.write_text(before)
    repository(tmp_path, "two")
    lines = init(file, InitRequest(service="two"), QUIET)
    assert lines[-1] == "  slimbake bake two   builds and checks it"
    assert file.read_text().replace("# mine\n", "").startswith(before.replace("# mine\n", ""))
    [_, two] = manifest(file).services
    assert (two.context, two.command, two.smoke) == (
        "services/two",
        ("python", "-m", "two"),
        "smoke.py",
    )


def test_a_service_without_a_port_is_named_with_its_start_check(tmp_path: Path) -> None:
    file = repository(tmp_path, "one", "two")
    (tmp_path / "services/two/Dockerfile").write_text(f"{DOCKERFILE.format('two')}EXPOSE 80\n")
    [line] = [each for each in init(file, InitRequest(), QUIET) if "without a port" in each]
    assert line.startswith("without a port: one; the start check is `runs`: alive after 5 s")
    assert not [each for each in init(file, InitRequest(service="one"), QUIET) if "port" in each]


def test_ports_that_only_up_publishes_are_named(tmp_path: Path) -> None:
    file = repository(tmp_path, "one", "two", "three")
    for name in ("one", "two"):
        with (tmp_path / f"services/{name}/Dockerfile").open("a") as dockerfile:
            dockerfile.write("EXPOSE 6379\n")
    (tmp_path / "compose.yaml").write_text(
        "services:\n  one: {build: services/one}\n"
        "  two: {build: services/two, ports: ['6379:6379']}\n"
        "  three: {build: services/three}\n"
    )
    said = [line for line in init(file, InitRequest(), QUIET) if "published" in line]
    assert said == [
        "published on 127.0.0.1 by `slimbake up`, without `ports` in the compose file: one;"
        " `publish: NUMBER` takes another port of this machine. In your own compose file,"
        " `ports: !override []` beside `extends` publishes none"
    ]


def test_only_the_service_that_is_wanted_is_written(tmp_path: Path) -> None:
    file = repository(tmp_path, "one", "two")
    init(file, InitRequest(service="two"), QUIET)
    assert [service.name for service in manifest(file).services] == ["two"]
    assert not (tmp_path / "services/one/smoke.py").exists()
    with pytest.raises(UsageError, match="there is no service 'three' here"):
        init(file, InitRequest(service="three"), QUIET)


def test_it_goes_on_after_an_interruption_before_the_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, whole = repository(tmp_path / "a", "one", "two"), repository(tmp_path / "b", "one", "two")
    init(whole, InitRequest(), QUIET)

    def interrupted(path: Path, content: bytes, mode: int = 0o644) -> None:
        if path.name == "services.yaml":
            raise KeyboardInterrupt
        write_atomically(path, content, mode)

    with monkeypatch.context() as patched:
        patched.setattr("slimbake.adopt.init.write_atomically", interrupted)
        with pytest.raises(KeyboardInterrupt):
            init(file, InitRequest(), QUIET)
    assert (tmp_path / "a/services/two/smoke.py").exists()
    assert not file.exists()
    init(file, InitRequest(), QUIET)
    assert files(tmp_path / "a") == {
        name: text.replace(b"project: b", b"project: a")
        for name, text in files(tmp_path / "b").items()
    }


def test_a_smoke_that_is_there_is_named_and_a_file_of_that_name_that_is_none_stays(
    tmp_path: Path,
) -> None:
    file = repository(tmp_path, "one", "two")
    (tmp_path / "services/one/smoke.py").write_text("def load():\n    import one\n")
    (tmp_path / "services/two/smoke.py").write_text("print('mine')\n")
    before = files(tmp_path)
    init(file, InitRequest(), QUIET)
    assert [service.smoke for service in manifest(file).services] == [
        "smoke.py",
        "slimbake_smoke.py",
    ]
    assert before.items() <= files(tmp_path).items()


def test_requirements_that_are_refused_leave_the_service_its_dockerfile_with_the_line(
    tmp_path: Path,
) -> None:
    file = repository(tmp_path, "one", "two")
    (tmp_path / "services/two/requirements.txt").write_text("httpx\nnot a requirement\n")
    reported = init(file, InitRequest(), QUIET)
    [one, two] = manifest(file).services
    assert one.dockerfile is None
    assert two.dockerfile == "services/two/Dockerfile"
    assert any("services/two/requirements.txt:2: " in line for line in reported)


def test_nothing_to_adopt_is_an_error_that_says_what_it_looked_for(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as raised:
        init(tmp_path / "services.yaml", InitRequest(), QUIET)
    assert raised.value.message.startswith("nothing here says how a service is built or started")
    file = tmp_path / "services.yaml"
    file.write_text(raised.value.hint.partition("\n")[2])
    assert manifest(file).services == ()
    file.unlink()
    with pytest.raises(UsageError, match=r"gone\.yaml is not there"):
        init(tmp_path / "services.yaml", InitRequest(compose=("gone.yaml",)), QUIET)


def test_a_dockerfile_of_nonsense_and_one_without_a_stage(tmp_path: Path) -> None:
    file = repository(tmp_path, "one", "two")
    (tmp_path / "services/one/Dockerfile").write_text("FORM python\nFETCH\n")
    (tmp_path / "services/two/Dockerfile").write_text("FROM python:3.11\nFETCH x\nCMD python -V\n")
    reported = init(file, InitRequest(), QUIET)
    assert "  services/two/Dockerfile:2: the unknown instruction FETCH" in reported
    assert any(
        "services/one/Dockerfile: services/one/Dockerfile cannot be read" in t for t in reported
    )
    assert [service.dockerfile for service in manifest(file).services] == [
        "services/one/Dockerfile",
        None,
    ]


def test_add_takes_a_folder_that_is_there_as_it_is(tmp_path: Path) -> None:
    file = repository(tmp_path, "one")
    init(file, InitRequest(), QUIET)
    folder = tmp_path / "services/web"
    folder.mkdir()
    (folder / "main.py").write_text("from fastapi import FastAPI\n\napi = FastAPI()\n")
    (folder / "requirements.txt").write_text("fastapi\nuvicorn\n")
    before = files(folder)
    add(file, "web", None, None, QUIET)
    [_, web] = manifest(file).services
    assert web.context == "services/web"
    assert web.requirements.specs == ("fastapi", "uvicorn")
    assert web.command == ("uvicorn", "main:api", "--host", "0.0.0.0", "--port", "8000")  # noqa: S104
    assert (web.port, web.smoke) == (8000, "smoke.py")
    assert before.items() <= files(folder).items()


def test_add_goes_on_where_it_was_interrupted_between_folder_and_manifest(tmp_path: Path) -> None:
    file = tmp_path / "services.yaml"
    text = 'project: toy\npython: "3.11"\nservices: {}\n'
    file.write_text(text)
    add(file, "worker", None, None, QUIET)
    whole = file.read_text()
    file.write_text(text)
    add(file, "worker", None, None, QUIET)
    assert file.read_text() == whole


def test_add_says_what_a_folder_lacks(tmp_path: Path) -> None:
    file = tmp_path / "services.yaml"
    file.write_text('project: toy\npython: "3.11"\nservices: {}\n')
    (tmp_path / "services/notes").mkdir(parents=True)
    (tmp_path / "services/notes/README.md").write_text("nothing\n")
    with pytest.raises(UsageError, match="nothing in it says how the service starts"):
        add(file, "notes", None, None, QUIET)
    assert "notes" not in file.read_text()


def test_a_found_service_keeps_its_port_and_health_check_in_a_manifest_that_is_there(
    tmp_path: Path,
) -> None:
    shutil.copytree(FIXTURES / "django-shop", tmp_path / "shop")
    file = tmp_path / "shop/services.yaml"
    init(file, InitRequest(service="worker"), QUIET)
    init(file, InitRequest(service="web"), QUIET)
    [_, web] = manifest(file).services
    assert web.port == 8000
    assert web.healthcheck is not None
    assert dict(web.env)["DJANGO_SETTINGS_MODULE"] == "shop.settings"


def test_names_that_a_manifest_does_not_take_are_changed(tmp_path: Path) -> None:
    file = repository(tmp_path, "My_Service", "runtime", "base-web", "1st")
    init(file, InitRequest(), QUIET)
    assert {service.context.split("/")[1]: service.name for service in manifest(file).services} == {
        "1st": "st",
        "My_Service": "my-service",
        "base-web": "service-base-web",
        "runtime": "runtime-service",
    }


def test_a_variable_of_a_dockerfile_stays_and_a_secret_of_a_compose_file_does_not_enter(
    tmp_path: Path,
) -> None:
    file = repository(tmp_path, "one")
    dockerfile = tmp_path / "services/one/Dockerfile"
    dockerfile.write_text(dockerfile.read_text() + "ENV API_KEY=x MODE=fast\nLABEL team=a\n")
    (tmp_path / "compose.yaml").write_text(
        "services:\n  one:\n    build: services/one\n"
        "    environment: {TOKEN: y, DB_URL: 'postgres://a:b@db/x', LEVEL: info}\n"
    )
    reported = init(file, InitRequest(), QUIET)
    [one] = manifest(file).services
    assert dict(one.env) == {"API_KEY": "x", "MODE": "fast", "LEVEL": "info"}
    assert dict(one.labels) == {"team": "a"}
    assert (
        "  services/one/Dockerfile:6: API_KEY looks like a secret, and is in the image" in reported
    )
    assert "  compose.yaml:4: TOKEN looks like a secret" in reported
    assert (
        'setdefault("DB_URL", "postgres://a:smoke@db/x")'
        in (tmp_path / "services/one/smoke.py").read_text()
    )


def test_a_bake_file_of_one_s_own_is_reported(tmp_path: Path) -> None:
    file = repository(tmp_path, "one")
    (tmp_path / "docker-bake.hcl").write_text('target "one" {}\n')
    reported = init(file, InitRequest(dry_run=True), QUIET)
    assert "  docker-bake.hcl: there is a bake file already" in reported
    (tmp_path / "docker-bake.hcl").write_text("# Generated by slimbake from services.yaml\n")
    reported = init(file, InitRequest(dry_run=True), QUIET)
    assert not any("bake file already" in line for line in reported)


def test_services_of_a_compose_file_that_cannot_be_built_here_are_reported(tmp_path: Path) -> None:
    file = repository(tmp_path, "one")
    (tmp_path / "compose.yaml").write_text(
        "services:\n  one: {build: services/one}\n"
        "  inline:\n    build:\n      dockerfile_inline: FROM x\n"
        "  remote: {build: 'https://example.com/x.git'}\n"
        "  outside: {build: ../x}\n"
        "  gone: {build: ./gone}\n"
    )
    reported = [
        line
        for line in init(file, InitRequest(), QUIET)
        if line.startswith("  compose.yaml:") and "plain" not in line
    ]
    assert reported == [
        "  compose.yaml:5: a Dockerfile in place",
        "  compose.yaml:6: its context is https://example.com/x.git",
        "  compose.yaml:7: the context of outside lies outside this folder, in ../x",
        "  compose.yaml:8: services.gone.context: 'gone' does not exist",
        "  compose.yaml:8: services.gone.dockerfile: 'gone/Dockerfile' does not exist: there is no 'gone'",
    ]
    assert [service.name for service in manifest(file).services] == ["one"]


def test_a_dockerfile_in_a_folder_of_its_own_has_the_context_in_which_its_files_lie(
    tmp_path: Path,
) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src/main.py").write_text("import time\n")
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker/worker.Dockerfile").write_text(
        'FROM python:3.11\nWORKDIR /w\nCOPY . .\nCMD ["python", "src/main.py"]\n'
    )
    init(tmp_path / "services.yaml", InitRequest(), QUIET)
    [worker] = manifest(tmp_path / "services.yaml").services
    assert (worker.name, worker.context) == ("worker", ".")


def test_an_entrypoint_and_its_arguments_stay_apart(tmp_path: Path) -> None:
    file = repository(tmp_path, "one", "two", "three", "four")
    for name, end in {
        "one": 'ENTRYPOINT ["one-cli"]\n',
        "four": 'ENTRYPOINT ["/usr/bin/tini", "-g", "--"]\nCMD ["python", "/app/x.py"]\n',
        "two": 'ENTRYPOINT ["two-cli"]\nCMD ["/app/x", "--all"]\n',
        "three": "ENTRYPOINT three-cli --port ${PORT:-90}\n",
    }.items():
        dockerfile = tmp_path / "services" / name / "Dockerfile"
        dockerfile.write_text(dockerfile.read_text().split("CMD")[0] + end)
    init(file, InitRequest(), QUIET)
    found = {service.name: service for service in manifest(file).services}
    assert (found["one"].entrypoint, found["one"].command) == (("one-cli",), ())
    assert found["one"].start is not None
    assert found["one"].start.arguments == ("--help",)
    assert (found["two"].entrypoint, found["two"].command) == (("two-cli",), ("/app/x", "--all"))
    assert found["two"].start is None
    assert (found["three"].entrypoint, found["three"].port) == (("three-cli", "--port", "90"), 90)
    assert "# init filled in ${PORT:-90}" in file.read_text()
    assert (found["four"].entrypoint, found["four"].command) == (
        ("tini", "-g", "--"),
        ("python", "/app/x.py"),
    )
    assert found["four"].system == ("tini",), "as a first process, Python ignores SIGTERM"


def test_an_entrypoint_that_compose_starts_without_arguments_is_what_up_starts(
    tmp_path: Path,
) -> None:
    file = repository(tmp_path, "one")
    dockerfile = tmp_path / "services/one/Dockerfile"
    dockerfile.write_text(dockerfile.read_text().split("CMD")[0] + 'ENTRYPOINT ["one", "all"]\n')
    compose = (
        "services:\n  one: {build: services/one}\n  tool: {build: services/one, profiles: [x]}\n"
        "  reaped: {build: services/one, init: true}\n"
    )
    (tmp_path / "compose.yaml").write_text(compose)
    one, tool, reaped = (each.entry for each in start(file, InitRequest()).drafts)
    assert (one["command"], "entrypoint" in one) == (["one", "all"], False)
    assert (tool["entrypoint"], "command" in tool) == (["one", "all"], False)
    assert (tool["up"], tool["start"], "up" in one) == (False, "none", False)
    assert (reaped["entrypoint"], reaped["command"]) == (["tini", "--"], ["one", "all"])
    assert reaped["system"] == ["tini"]


def test_images_of_today_stand_beside_those_of_slimbake_where_the_engine_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "my_fleet"
    file = repository(root, "one", "two")
    held = {"my_fleet-one": 300_000_000, "my-fleet/one": 60_000_000, "two": 5}
    monkeypatch.setattr(
        "slimbake.docker.image_sizes",
        lambda names: {name: held[name] for name in names if name in held},
    )
    reported = init(file, InitRequest(), QUIET)
    assert [line.split() for line in reported if line.startswith(("one", "two"))] == [
        ["one", "300.0", "MB", "60.0", "MB"],
        ["two", "5", "B", "unmeasured"],
    ]


@pytest.mark.parametrize(
    ("code", "needs"),
    [
        ("import os\nDSN = os.environ['TOKEN']\n", "one/settings.py:2 reads TOKEN"),
        ("from decouple import config\nDSN = config('TOKEN')\n", "one/settings.py:2 reads TOKEN"),
        (
            "class Settings(BaseSettings):\n    mode: str = 'x'\n    token: str\n",
            "one/settings.py:3 reads TOKEN",
        ),
        ("class Settings(BaseSettings):\n    token: str = ''\n", ""),
        ("import os\nDSN = os.environ.get('TOKEN')\n", ""),
        ("import os\nDSN = os.getenv('TOKEN')\n", ""),
        ("import os\nDSN = os.environ['MODE']\n", ""),  # which is in the image
    ],
)
def test_code_that_cannot_start_without_a_variable_of_the_compose_file(
    tmp_path: Path, code: str, needs: str
) -> None:
    file = repository(tmp_path, "one")
    (tmp_path / "services/one/one/settings.py").write_text(code)
    (tmp_path / "compose.yaml").write_text(
        "services:\n  one: {build: services/one, environment: {TOKEN: y, MODE: fast}}\n"
    )
    reported = init(file, InitRequest(), QUIET)
    [one] = manifest(file).services
    assert (one.start.env if one.start else ()) == ((("TOKEN", "smoke"),) if needs else ())
    comment = f"# services/one/{needs}"
    assert (comment in file.read_text()) == bool(needs)
    assert any("the code reads TOKEN, which no image holds" in line for line in reported) == bool(
        needs
    )


@pytest.mark.parametrize(
    ("value", "given"),
    [
        ("s3cret", "smoke"),
        ("48213", "11111"),
        ("admin:12345", "localhost:1"),
        ("admin:1234567", "smoke"),
        ("True", "True"),
        ("postgresql://me:s3cret@db:5432/shop", "postgresql://localhost"),
        ("sqlite:///shop.db", "sqlite:///smoke"),
        ("kafka:9092", "localhost:1"),
    ],
)
def test_a_placeholder_is_read_as_the_value_is_and_tells_nothing_of_it(
    tmp_path: Path, value: str, given: str
) -> None:
    file = repository(tmp_path, "one")
    (tmp_path / "services/one/one/settings.py").write_text("import os\nos.environ['TOKEN']\n")
    (tmp_path / "one.env").write_text(f"TOKEN={value}\n")
    (tmp_path / "compose.yaml").write_text(
        "services:\n  one: {build: services/one, env_file: one.env}\n"
    )
    init(file, InitRequest(), QUIET)
    [one] = manifest(file).services
    assert one.start and one.start.env == (("TOKEN", given),)
    assert value == given or value not in file.read_text()
    assert "s3cret" not in file.read_text()


def test_a_project_whose_requirements_a_stage_exports(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app/main.py").write_text("app = 1\n")
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "x"\nversion = "1"\ndependencies = ["httpx"]\n'
    )
    (tmp_path / "Dockerfile").write_text(
        "FROM python:3.11 AS lock\nWORKDIR /tmp\nCOPY ./pyproject.toml ./poetry.lock* /tmp/\n"
        "RUN poetry export -o requirements.txt\nFROM python:3.11\nWORKDIR /code\n"
        "COPY --from=lock /tmp/requirements.txt .\nRUN pip install -r requirements.txt\n"
        'COPY ./app app\nCMD ["uvicorn", "app.main:app"]\n'
    )
    reported = init(tmp_path / "services.yaml", InitRequest(), QUIET)
    [service] = manifest(tmp_path / "services.yaml").services
    assert service.requirements.specs == ("httpx",)
    assert not any("not carried over" in line for line in reported)


def test_add_publishes_a_found_service_on_the_port_that_is_asked_for(tmp_path: Path) -> None:
    file = repository(tmp_path, "one")
    init(file, InitRequest(), QUIET)
    repository(tmp_path, "two")
    dockerfile = tmp_path / "services/two/Dockerfile"
    dockerfile.write_text(dockerfile.read_text() + "EXPOSE 5000\n")
    add(file, "two", None, 7000, QUIET)
    two = manifest(file).services[1]
    assert (two.port, two.publish) == (5000, 7000)


def test_what_only_a_shell_can_run_gets_one_and_a_comment_says_why(tmp_path: Path) -> None:
    file = repository(tmp_path, "one", "two")
    for name, end in {
        "one": "CMD python -m one | tee /tmp/log\n",
        "two": 'COPY run.sh /usr/bin/run\nENTRYPOINT ["run"]\nCMD ["python", "-m", "two"]\n',
    }.items():
        dockerfile = tmp_path / "services" / name / "Dockerfile"
        dockerfile.write_text(dockerfile.read_text().split("CMD")[0] + end)
    (tmp_path / "services/two/run.sh").write_text('#!/bin/bash\nexport A="$(date)"\nexec "$@" $B\n')
    reported = init(file, InitRequest(), QUIET)
    one, two = manifest(file).services
    assert (one.shell, one.command) == (True, ("sh", "-c", "python -m one | tee /tmp/log"))
    assert (two.shell, two.entrypoint, two.command, two.system) == (
        True,
        ("bash", "/app/run.sh"),
        ("python", "-m", "two"),
        ("bash",),
    )
    assert one.smoke is None
    assert not [line for line in reported if "needs a shell" in line or "run.sh" in line]
    text = file.read_text()
    assert (
        "    shell: true  # services/one/Dockerfile:5: `python -m one | tee /tmp/log` needs a shell\n"
        in text
    )
    assert "    shell: true  # services/two/run.sh:2: a shell fills in $(date)\n" in text


def test_a_service_with_a_shell_can_be_added_to_a_manifest_that_is_there(tmp_path: Path) -> None:
    file = repository(tmp_path, "one")
    init(file, InitRequest(), QUIET)
    repository(tmp_path, "two")
    dockerfile = tmp_path / "services/two/Dockerfile"
    dockerfile.write_text(dockerfile.read_text().split("CMD")[0] + "CMD a | b\n")
    init(file, InitRequest(service="two"), QUIET)
    assert manifest(file).services[1].shell


@pytest.mark.parametrize(
    ("compose", "beside", "reported"),
    [
        ("one: {build: B, environment: {TOKEN: y}, depends_on: [db, two]}", ("db",), ""),
        ("one: {build: B, environment: {TOKEN: y}, depends_on: {db: {}, q: {}}}", ("db", "q"), ""),
        ("one: {build: B, environment: {TOKEN: y}, depends_on: [two]}", (), "placeholders"),
        ("one: {build: B, environment: [TOKEN], depends_on: [db]}", ("db",), "placeholders"),
        ("one: {build: B, environment: {TOKEN: y}, depends_on: [proxy]}", (), "placeholders"),
        ("one: {build: B, environment: {TOKEN: y}, depends_on: [same]}", (), "placeholders"),
        ("one: {build: B, env_file: no.env, depends_on: [db]}", (), "no.env is not there"),
    ],
)
def test_a_start_check_runs_beside_the_ready_made_services_that_are_depended_on(
    tmp_path: Path, compose: str, beside: tuple[str, ...], reported: str
) -> None:
    file = repository(tmp_path, "one")
    (tmp_path / "services/one/one/settings.py").write_text("import os\nos.environ['TOKEN']\n")
    (tmp_path / "compose.yaml").write_text(
        f"services:\n  {compose.replace('B', 'services/one')}\n"
        "  two: {build: services/one, image: mine}\n  db: {image: 'postgres:17'}\n  q: {image: redis}\n"
        "  proxy: {image: nginx, depends_on: [two]}\n  same: {image: mine}\n"
    )
    notes = "\n".join(init(file, InitRequest(), QUIET))
    one = manifest(file).services[0]
    assert (one.start.beside if one.start else ()) == beside
    assert reported in notes
    env = one.start.env if one.start else ()
    assert env == ((("TOKEN", "smoke"),) if reported == "placeholders" else ())


def test_a_service_that_keeps_its_dockerfile_starts_beside_its_database_too(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text('FROM node:22\nCMD ["node", "a.js"]\n')
    (tmp_path / "compose.yaml").write_text(
        "services:\n  web: {build: ., depends_on: [db]}\n  db: {image: 'postgres:17'}\n"
    )
    init(tmp_path / "services.yaml", InitRequest(), QUIET)
    [web] = manifest(tmp_path / "services.yaml").services
    assert web.dockerfile
    assert web.start
    assert web.start.beside == ("db",)


def test_what_only_an_override_defines_is_nothing_that_a_start_check_can_start(
    tmp_path: Path,
) -> None:
    file = repository(tmp_path, "one")
    (tmp_path / "compose.yaml").write_text("services:\n  one: {build: services/one}\n")
    (tmp_path / "compose.override.yaml").write_text(
        "services:\n  one: {depends_on: [db]}\n  db: {image: 'postgres:17'}\n"
    )
    assert "depends_on: db" in "\n".join(init(file, InitRequest(), QUIET))
    [one] = manifest(file).services
    assert (one.dockerfile, one.start) == (None, None)


def test_a_folder_without_modules_does_not_decide_what_becomes_app(tmp_path: Path) -> None:
    file = repository(tmp_path, "one")
    folder = tmp_path / "services/one"
    (folder / "scripts").mkdir()
    (folder / "scripts/lint.sh").write_text("ruff check\n")
    (folder / "Dockerfile").write_text(
        "FROM python:3.11\nWORKDIR /app\nCOPY scripts/ /app/\nCOPY one one\n"
        'CMD ["python", "-m", "one"]\n'
    )
    reported = init(file, InitRequest(), QUIET)
    [one] = manifest(file).services
    assert (one.context, one.workdir) == ("services/one", "")
    assert "  services/one/Dockerfile:3: services/one/scripts is copied to /app" in reported


def test_what_a_script_ran_before_the_service_is_reported_line_by_line(tmp_path: Path) -> None:
    file = repository(tmp_path, "one")
    folder = tmp_path / "services/one"
    (folder / "prestart.sh").write_text("#!/bin/sh\n# first\nalembic upgrade head\n. ./more.sh\n")
    (folder / "more.sh").write_text("python -m seed\n./prestart.sh\n")
    dockerfile = folder / "Dockerfile"
    dockerfile.write_text(
        dockerfile.read_text().split("CMD")[0] + "CMD ./prestart.sh && python -m one\n"
    )
    reported = "\n".join(init(file, InitRequest(), QUIET))
    [one] = manifest(file).services
    assert one.command == ("python", "-m", "one")
    assert "services/one/prestart.sh:3: `alembic upgrade head`\n" in reported
    assert "such as `slimbake run one alembic upgrade head`" in reported
    assert "services/one/more.sh:1: `python -m seed`\n" in reported


def test_a_script_that_adds_arguments_to_its_own_command_needs_none(tmp_path: Path) -> None:
    file = repository(tmp_path, "one")
    folder = tmp_path / "services/one"
    (folder / "start.sh").write_text('#!/bin/sh\nset -e\nexec python -m one --fast "$@"\n')
    dockerfile = folder / "Dockerfile"
    dockerfile.write_text(dockerfile.read_text().split("CMD")[0] + 'ENTRYPOINT ["./start.sh"]\n')
    init(file, InitRequest(), QUIET)
    [one] = manifest(file).services
    assert (one.entrypoint, one.command) == (("python", "-m", "one", "--fast"), ())
    (folder / "start.sh").write_text('#!/bin/sh\nexec "$@"\n')
    file.unlink()
    [kept] = start(file, InitRequest()).drafts
    assert "dockerfile" in kept.entry


def test_a_service_that_keeps_its_dockerfile_has_what_its_compose_file_gives_containers(
    tmp_path: Path,
) -> None:
    file = repository(tmp_path, "one")
    (tmp_path / "services/one/Dockerfile").write_text(
        "FROM redis:7\nHEALTHCHECK --interval=9s --retries=7 CMD redis-cli ping\n"
    )
    (tmp_path / "compose.yaml").write_text(
        "services:\n  one:\n    build: services/one\n    command: redis-server --save ''\n"
        "    environment: {MODE: a}\n    stop_signal: SIGINT\n"
        "    healthcheck: {test: redis-cli ping, retries: 2}\n    volumes:\n      - kept:/data\n"
        "      - ./conf:/conf\nvolumes: {kept: {}}\n"
    )
    [one] = start(file, InitRequest()).drafts
    expected = {
        "context": "services/one",
        "dockerfile": "services/one/Dockerfile",
        "command": ["redis-server", "--save", ""],
        "env": {"MODE": "a"},
        "stop_signal": "SIGINT",
        "healthcheck": {
            "test": ["sh", "-c", "redis-cli ping"],
            "retries": 2,
            "interval": "9s",
            "timeout": "30s",
        },
        "volumes": {"kept": "/data"},
    }
    assert {key: one.entry.get(key) for key in expected} == expected
    assert "the mount of ./conf at /conf" in [note.what for note in one.notes]
    init(file, InitRequest(), QUIET)
    [service] = manifest(file).services
    assert service.command == ("redis-server", "--save", "")


def test_a_locale_and_a_home_that_images_do_not_have_are_named(tmp_path: Path) -> None:
    file = repository(tmp_path, "one")
    dockerfile = tmp_path / "services/one/Dockerfile"
    text = dockerfile.read_text()
    dockerfile.write_text(text + "ENV LANG=de_DE.UTF-8 LC_ALL=C.UTF-8 HOME=/home/one\n")
    [one] = start(file, InitRequest()).drafts
    assert [note.what for note in one.notes] == ["LANG=de_DE.UTF-8", "HOME=/home/one"]


def test_a_folder_in_tmp_that_something_names_is_there_when_the_service_starts(
    tmp_path: Path,
) -> None:
    file = repository(tmp_path, "one")
    dockerfile = tmp_path / "services/one/Dockerfile"
    made = "ENV PROMETHEUS_MULTIPROC_DIR=/tmp/prom\nRUN mkdir -p /tmp/prom /tmp/build\n"
    dockerfile.write_text(dockerfile.read_text() + made)
    init(file, InitRequest(), QUIET)
    [one] = manifest(file).services
    assert one.tmpfs == ("/tmp/prom",)  # noqa: S108


def test_folders_that_a_dockerfile_makes_for_its_service_are_named(tmp_path: Path) -> None:
    file = repository(tmp_path, "one")
    dockerfile = tmp_path / "services/one/Dockerfile"
    dockerfile.write_text(
        dockerfile.read_text() + "VOLUME /data\n"
        "RUN mkdir -p /data/in /models /srv/x && chown -R 1000 /models /data\n"
    )
    [one] = start(file, InitRequest()).drafts
    assert [note.what for note in one.notes] == ["RUN mkdir /data/in", "RUN mkdir /models"]
    assert [step.words[0] for step in one.needless] == ["chown"]


@pytest.mark.parametrize(
    ("other", "users", "notes"),
    [("", ["1000", "1000"], 0), ("RUN useradd -u 7 b\nUSER b\n", ["1000", "7"], 1)],
)
def test_services_that_share_a_volume_have_one_user(
    other: str, users: list[str], notes: int, tmp_path: Path
) -> None:
    file = repository(tmp_path, "one", "two")
    for name, more in {"one": "RUN useradd -u 1000 a\nUSER a\n", "two": other}.items():
        dockerfile = tmp_path / "services" / name / "Dockerfile"
        dockerfile.write_text(dockerfile.read_text() + more)
    (tmp_path / "compose.yaml").write_text(
        "services:\n  one: {build: services/one, volumes: ['kept:/data']}\n"
        "  two: {build: services/two, volumes: ['kept:/data']}\nvolumes: {kept: {}}\n"
    )
    decided = start(file, InitRequest())
    assert [each.entry["user"] for each in decided.drafts] == users
    found = [note.what for each in decided.drafts for note in each.notes]
    assert sum("others have it as user" in what for what in found) == 2 * notes


def test_a_folder_that_is_copied_beside_the_code_has_its_own_path(tmp_path: Path) -> None:
    (tmp_path / "web").mkdir()
    (tmp_path / "web/main.py").write_text("import time\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/x.csv").write_text("1\n")
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared/kit.py").write_text("")
    (tmp_path / "web/Dockerfile").write_text(
        "FROM python:3.11\nWORKDIR /srv\nCOPY shared ./shared\nCOPY web .\nCOPY data ./data\n"
        'ENV DATA=/srv/data CODE=/srv/main.py\nCMD ["python", "main.py"]\n'
    )
    (tmp_path / "compose.yaml").write_text(
        "services:\n  web: {build: {context: ., dockerfile: web/Dockerfile}}\n"
    )
    init(tmp_path / "services.yaml", InitRequest(), QUIET)
    [web] = manifest(tmp_path / "services.yaml").services
    env = dict(web.env)
    assert (env["DATA"], env["CODE"]) == ("/app/data", "/app/web/main.py")


def test_what_installs_poetry_and_what_only_adds_sources_to_apt_are_no_loss(tmp_path: Path) -> None:
    file = repository(tmp_path, "one")
    dockerfile = tmp_path / "services/one/Dockerfile"
    text = dockerfile.read_text().replace(
        "RUN pip",
        "RUN apt-get install -y software-properties-common gnupg gcc\n"
        "RUN curl -sSL https://install.python-poetry.org | POETRY_HOME=/opt python && true\nRUN pip",
    )
    dockerfile.write_text(text)
    reported = init(file, InitRequest(), QUIET)
    [one] = manifest(file).services
    assert (one.system, one.wheels) == ((), ("gcc",))
    assert not any("not carried over" in line for line in reported)


def test_a_program_that_may_be_of_the_build_stays_where_the_code_calls_it(tmp_path: Path) -> None:
    file = repository(tmp_path, "one")
    dockerfile = tmp_path / "services/one/Dockerfile"
    text = dockerfile.read_text().replace("RUN pip", "RUN apt-get install -y git curl gcc\nRUN pip")
    dockerfile.write_text(text)
    [one] = start(file, InitRequest()).drafts
    assert [note.what for note in one.notes] == ["git", "curl"]
    code = tmp_path / "services/one/one/log.py"
    code.write_text('import subprocess\n\nsubprocess.run(["git", "log"])\n')
    [one] = start(file, InitRequest()).drafts
    assert one.entry["system"] == ["git"]
    assert one.entry["wheels"] == {"system": ["git", "gcc"]}
    code.write_text('"""The git log. Call curl yourself."""\nurl = "git+https://example.com/x"\n')
    [one] = start(file, InitRequest()).drafts
    assert "system" not in one.entry


@pytest.mark.parametrize(
    ("line", "shell"),
    [
        ('subprocess.run("git log | wc -l", shell=True)', True),
        ('os.system("date")', True),
        ('await asyncio.create_subprocess_shell("date")', True),
        ('subprocess.run(["date"], shell=False)  # never shell=True', False),
        ("# os.system", False),
    ],
)
def test_code_that_starts_a_shell_gets_one(line: str, shell: bool, tmp_path: Path) -> None:
    file = repository(tmp_path, "one")
    (tmp_path / "services/one/one/log.py").write_text(f"import os\n\n{line}\n")
    init(file, InitRequest(), QUIET)
    [one] = manifest(file).services
    assert one.shell is shell
    assert ("services/one/one/log.py:3 starts one" in file.read_text()) is shell


def test_tests_that_start_a_shell_ask_for_none(tmp_path: Path) -> None:
    file = repository(tmp_path, "one")
    (tmp_path / "services/one/tests").mkdir(exist_ok=True)
    (tmp_path / "services/one/tests/test_x.py").write_text('os.system("date")\n')
    [one] = start(file, InitRequest()).drafts
    assert "shell" not in one.entry


def test_an_older_debian_is_named(tmp_path: Path) -> None:
    file = repository(tmp_path, "one", "two")
    for name in ("one", "two"):
        dockerfile = tmp_path / f"services/{name}/Dockerfile"
        lines = dockerfile.read_text().splitlines(keepends=True)
        assert lines[0].startswith("FROM")
        dockerfile.write_text("".join(["FROM python:3.11-slim-bookworm\n", *lines[1:]]))
    reported = "\n".join(init(file, InitRequest(), QUIET))
    assert reported.count("the image is of Debian bookworm\n") == 1
    assert "services/one/Dockerfile:1: the image is of Debian bookworm\n" in reported


ORDER = """
services:
  web_app: {build: services/one, ports: ["8000:8000"], depends_on: [db, migrate]}
  migrate: {build: services/one, command: python -m one up, depends_on: {db: {condition: service_healthy}}}
  proxy:
    build: services/nginx
    depends_on:
      web_app: {condition: service_healthy, restart: true}
      migrate: {condition: service_completed_successfully}
      tool: {condition: service_started}
      db: {condition: service_healthy}
  worker: {build: services/one, depends_on: {migrate: {condition: service_healthy}}}
  tool: {build: services/one, entrypoint: [one], profiles: [x], depends_on: [web_app, worker]}
  db: {image: "postgres:17"}
"""


def ordered(root: Path) -> Path:
    file = repository(root, "one")
    (root / "services/nginx").mkdir()
    (root / "services/nginx/Dockerfile").write_text("FROM nginx\n")
    (root / "compose.yaml").write_text(ORDER)
    return file


def test_the_order_of_a_compose_file_is_carried_over_with_its_conditions(tmp_path: Path) -> None:
    file = ordered(tmp_path)
    reported = "\n".join(init(file, InitRequest(), QUIET))
    services = {each.name: each for each in manifest(file).services}
    assert {name: dict(each.depends_on) for name, each in services.items()} == {
        "web-app": {"migrate": "service_started"},
        "migrate": {},
        "proxy": {"web-app": "service_healthy", "migrate": "service_completed_successfully"},
        "worker": {"migrate": "service_started"},
        "tool": {"web-app": "service_healthy", "worker": "service_started"},
    }
    assert services["proxy"].dockerfile
    assert "    depends_on: [migrate]\n" in file.read_text(), "a list stays one"
    assert "it depends on tool: 'tool' says `up: false`, so `slimbake up` does not" in reported
    assert "it depends on migrate: 'migrate' has no healthcheck\n" in reported
    assert "compose.yaml:7: depends_on: restart\n" in reported


def test_a_service_that_waits_for_another_to_be_healthy_is_checked_alone_and_that_is_said(
    tmp_path: Path,
) -> None:
    file = repository(tmp_path, "one")
    (tmp_path / "compose.yaml").write_text(
        "services:\n  search: {build: services/one, ports: ['8000:8000'], command: python -m one}\n"
        "  api:\n    build: services/one\n    command: python -m one\n"
        "    depends_on: {db: {}, search: {condition: service_healthy}}\n"
        "  page: {build: services/one, command: python -m one, depends_on: [search]}\n"
        "  db: {image: 'postgres:17'}\n"
    )
    reported = "\n".join(init(file, InitRequest(), QUIET))
    found = {each.name: each for each in manifest(file).services}
    assert found["api"].depends_on == (("search", "service_healthy"),)
    assert found["api"].start and found["api"].start.fleet == (), "its first bake needs no image"
    assert "it waits for the health of search\n" in reported
    said = "its start check runs without: if it fails then, `start: {with: [db, search]}` starts it"
    assert said in reported
    assert reported.count("its start check runs without") == 1, "a list says nothing of health"


def test_nothing_waits_for_a_job_whose_image_has_another_command(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text('FROM node:22\nCMD ["node", "serve.js"]\n')
    (tmp_path / "compose.yaml").write_text(
        "services:\n  job: {build: ., entrypoint: node migrate.js}\n"
        "  ends: {build: ., command: node end.js}\n"
        "  web:\n    build: .\n    depends_on:\n"
        "      job: {condition: service_completed_successfully}\n"
        "      ends: {condition: service_completed_successfully}\n"
    )
    file = tmp_path / "services.yaml"
    reported = "\n".join(init(file, InitRequest(), QUIET))
    assert manifest(file).services[2].depends_on == (("ends", "service_completed_successfully"),)
    assert "it waits until job has ended, and its image does not run `node migrate.js`" in reported


def test_a_circle_of_a_compose_file_is_reported(tmp_path: Path) -> None:
    file = repository(tmp_path, "one")
    (tmp_path / "compose.yaml").write_text(
        "services:\n  one: {build: services/one, depends_on: [two]}\n"
        "  two: {build: services/one, depends_on: [one, two]}\n"
    )
    reported = "\n".join(init(file, InitRequest(), QUIET))
    assert "a cycle of depends_on: " in reported
    assert "it depends on two: a service cannot wait for itself" in reported
    assert sum(len(each.depends_on) for each in manifest(file).services) == 1


def test_a_job_that_others_wait_for_is_one_that_up_starts(tmp_path: Path) -> None:
    file = repository(tmp_path, "one")
    (tmp_path / "compose.yaml").write_text(
        "services:\n  job: {build: services/one, entrypoint: [one, up]}\n"
        "  one:\n    build: services/one\n"
        "    depends_on: {job: {condition: service_completed_successfully}}\n"
    )
    init(file, InitRequest(), QUIET)
    job, one = manifest(file).services
    assert (job.command, one.depends_on) == (
        ("one", "up"),
        (("job", "service_completed_successfully"),),
    )


def test_a_service_that_is_added_depends_on_those_that_are_there(tmp_path: Path) -> None:
    file = ordered(tmp_path)
    init(file, InitRequest(service="migrate"), QUIET)
    assert manifest(file).services[0].depends_on == ()
    reported = "\n".join(init(file, InitRequest(service="proxy"), QUIET))
    assert manifest(file).services[1].depends_on == (("migrate", "service_completed_successfully"),)
    assert "it depends on web-app: unknown service 'web-app'" in reported


def test_beat_with_its_schedule_in_a_database_has_no_start_check(tmp_path: Path) -> None:
    file = repository(tmp_path, "one")
    (tmp_path / "compose.yaml").write_text(
        "services:\n  db: {image: 'postgres:16'}\n  beat:\n    build: services/one\n"
        "    command: celery -A one beat\n    depends_on: [db]\n"
    )
    [beat] = start(file, InitRequest()).drafts
    assert beat.entry["start"] == {"with": ["db"]}
    assert "-s" in beat.entry["command"]
    settings = tmp_path / "services/one/one/settings.py"
    settings.write_text("A = 1\nS = 'django_celery_beat.schedulers:DatabaseScheduler'\n")
    [beat] = start(file, InitRequest()).drafts
    assert beat.entry["start"] == "none"
    assert beat.entry["command"] == ["celery", "-A", "one", "beat"]
    assert any("settings.py:2: DatabaseScheduler" in str(note) for note in beat.notes)


def test_a_package_named_before_the_file_that_lists_it_keeps_the_file(tmp_path: Path) -> None:
    file = repository(tmp_path, "one")
    folder = tmp_path / "services/one"
    index = "https://download.pytorch.org/whl/cpu"
    (folder / "requirements.txt").write_text(f"--extra-index-url {index}\ntorch>=2\nfastapi\n")
    text = (folder / "Dockerfile").read_text()
    both = f"RUN pip install torch --index-url {index} && pip install -r"
    (folder / "Dockerfile").write_text(text.replace("RUN pip install -r", both))
    [one] = start(file, InitRequest()).drafts
    assert (one.entry["requirements"], one.torch) == ("requirements.txt", "cpu")
    (folder / "Dockerfile").write_text(text.replace("-r", "numpy -r"))
    [one] = start(file, InitRequest()).drafts
    assert one.entry["requirements"] == ["services/one/requirements.txt", "numpy"]


ENTRYPOINT = """\
#!/bin/sh
export PYTHONPATH=/srv/lib
case "$1" in
  serve) exec uvicorn one:app --port 80 ;;
  work) exec python -m "${NAME}" ;;
esac
"""


def test_services_of_one_dockerfile_whose_entrypoint_chooses_by_its_first_word(
    tmp_path: Path,
) -> None:
    file = repository(tmp_path, "one")
    (tmp_path / "services/one/start.sh").write_text(ENTRYPOINT)
    (tmp_path / "services/one/Dockerfile").write_text(
        "FROM python:3.11 AS base\nWORKDIR /srv\nCOPY . .\nRUN pip install -r requirements.txt\n"
        "ENV NAME=one\nFROM base AS last\n"
        'ENTRYPOINT ["/srv/start.sh"]\nCMD ["serve"]\n'
    )
    (tmp_path / "compose.yaml").write_text(
        "x: &one\n  build: {context: services/one, target: last, args: {A: b}}\n"
        "services:\n  web: {<<: *one, environment: {TZ: Europe/Berlin}}\n"
        "  work: {<<: *one, command: [work]}\n"
    )
    decided = start(file, InitRequest())
    web, work = (each.entry for each in decided.drafts)
    assert (web["command"], work["command"]) == (
        ["uvicorn", "one:app", "--port", "80"],
        ["python", "-m", "one"],
    )
    assert web["env"] == {"NAME": "one", "TZ": "Europe/Berlin", "PYTHONPATH": "/app:/app/lib"}
    (tmp_path / "services/one/requirements.txt").write_text("not a requirement\n")
    dockerfile = tmp_path / "services/one/Dockerfile"
    dockerfile.write_text(f"{dockerfile.read_text()}RUN make\n")
    kept = start(file, InitRequest()).drafts[0]
    assert kept.entry["dockerfile"] == "services/one/Dockerfile"
    assert kept.entry["args"] == {"A": "b"}
    assert not any("target" in note.what or "make" in note.what for note in kept.notes)


def test_the_compose_file_is_parsed_once_however_many_services_start_beside_others(
    tmp_path: Path,
) -> None:
    names = [f"s{number}" for number in range(6)]
    file = repository(tmp_path, *names)
    services = "".join(f"  {n}: {{build: services/{n}, depends_on: [db]}}\n" for n in names)
    (tmp_path / "compose.yaml").write_text(f"services:\n  db: {{image: postgres}}\n{services}")
    defined.cache_clear()
    decided = start(file, InitRequest())
    assert all(each.entry["start"] == {"with": ["db"]} for each in decided.drafts)
    assert defined.cache_info().misses == 1


@pytest.mark.parametrize(
    ("install", "extras", "groups"),
    [
        ("poetry install --with prod --without dev,web -E pg", "[pg]", ["prod"]),
        ("poetry install --no-root", "", ["web"]),
        ("poetry install --only main,prod --all-extras", "[pg]", ["prod"]),
        ("poetry export --only main -o requirements.txt", "", []),
        ("uv sync --no-dev --group prod --all-extras", "[pg]", ["prod"]),
        ("pdm install --prod -G pg,prod", "[pg]", ["prod"]),
    ],
)
def test_extras_and_groups_are_carried_over(
    tmp_path: Path, install: str, extras: str, groups: list[str]
) -> None:
    one, file = _poetry_installs(tmp_path, install)
    project = f"services/one/pyproject.toml{extras}"
    listed = [project, *(f"services/one/pyproject.toml:{each}" for each in groups)]
    assert one.entry["requirements"] == (listed if groups else f"pyproject.toml{extras}")
    assert one.notes == ()
    init(file, InitRequest(), QUIET)
    [service] = manifest(file).services
    assert {name_of(each) for each in service.requirements.specs} == (
        {"httpx", "idna"} if groups else {"httpx"}
    )


def test_a_group_that_no_project_has_is_a_note(tmp_path: Path) -> None:
    one, _ = _poetry_installs(tmp_path, "uv sync --group other")
    assert one.entry["requirements"] == "pyproject.toml"
    assert [each.what for each in one.notes] == ["the group 'other' is installed, too"]


def test_packages_without_a_file_are_a_list(tmp_path: Path) -> None:
    install = "pip wheel -w /wheels 'httpx==0.27.*' && pip install /wheels/*"
    one, _ = _poetry_installs(tmp_path, install)
    assert (one.entry["requirements"], one.notes) == (["httpx==0.27.*"], ())


def _poetry_installs(tmp_path: Path, install: str) -> tuple[Draft, Path]:
    file = repository(tmp_path, "one")
    (tmp_path / "services/one/requirements.txt").unlink()
    (tmp_path / "services/one/pyproject.toml").write_text(
        '[tool.poetry]\nname = "one"\n[tool.poetry.dependencies]\nhttpx = "*"\n'
        '[tool.poetry.extras]\npg = ["httpx"]\n[tool.poetry.group.web.dependencies]\nidna = "*"\n'
        '[tool.poetry.group.dev.dependencies]\npytest = "*"\n'
        '[tool.poetry.group.prod]\noptional = true\ndependencies = {idna = "*"}\n'
    )
    dockerfile = tmp_path / "services/one/Dockerfile"
    dockerfile.write_text(
        dockerfile.read_text().replace("pip install -r requirements.txt", install)
    )
    [one] = start(file, InitRequest()).drafts
    return one, file


def test_several_requirements_files_are_a_list(tmp_path: Path) -> None:
    file = repository(tmp_path, "one")
    folder = tmp_path / "services/one"
    (tmp_path / "limits.txt").write_text("six==1.16.0\n")
    (folder / "requirements.txt").write_text("-c ../../limits.txt\nsix\n")
    (folder / "more.txt").write_text("idna==3.10 --hash=sha256:" + "0" * 64 + "\n")
    text = (folder / "Dockerfile").read_text()
    (folder / "Dockerfile").write_text(text.replace("-r requ", "-r more.txt -r requ"))
    [one] = start(file, InitRequest()).drafts
    wanted = ["services/one/more.txt", "services/one/requirements.txt"]
    assert one.entry["requirements"] == wanted
    init(file, InitRequest(), QUIET)
    [service] = manifest(file).services
    assert set(service.requirements.specs) == {"six", "idna==3.10"}
    assert [each.spec for each in service.requirements.constraints] == ["six==1.16.0"]


def test_a_service_whose_compose_file_empties_its_command_keeps_its_dockerfile(
    tmp_path: Path,
) -> None:
    (tmp_path / "Dockerfile").write_text("FROM python:3.11\nCMD python app.py\n")
    (tmp_path / "compose.yaml").write_text("services:\n  web:\n    build: .\n    command: ''\n")
    words = ["init", "--dry-run", "-f", str(tmp_path / "services.yaml")]
    done = CliRunner().invoke(slimbake, words)
    assert done.exit_code == 0, done.output
    assert "dockerfile: Dockerfile  # compose.yaml:4: the command is empty" in done.output


def test_what_a_dockerfile_cleans_up_is_listed_as_not_needed(tmp_path: Path) -> None:
    file = repository(tmp_path, "one")
    dockerfile = tmp_path / "services/one/Dockerfile"
    cleans = "RUN apt-get update && apt-get -y install gcc && rm -rf /var/lib/apt/lists/*\nRUN pip"
    dockerfile.write_text(dockerfile.read_text().replace("RUN pip", cleans))
    said = init(file, InitRequest(), QUIET)
    at = said.index("not needed any more:")
    assert said[at + 1] == (
        "  services/one/Dockerfile:4: apt-get update, rm -rf /var/lib/apt/lists/*"
    )


def test_all_that_is_not_needed_is_listed_and_the_same_of_several_lines_once(
    tmp_path: Path,
) -> None:
    file = repository(tmp_path, "one")
    dockerfile = tmp_path / "services/one/Dockerfile"
    cleans = "".join(f"RUN rm -rf /tmp/{n}\nRUN apt-get update\n" for n in range(20))
    long = f"RUN rm /tmp/{'x' * 99}\n"
    dockerfile.write_text(dockerfile.read_text().replace("RUN pip", f"{cleans}{long}RUN pip"))
    said = init(file, InitRequest(), QUIET)
    listed = said[said.index("not needed any more:") + 1 :]
    assert len(listed) == 20 + 2
    assert (
        f"  services/one/Dockerfile:{', '.join(map(str, range(5, 45, 2)))}: apt-get update"
        in listed
    )
    assert listed[-1] == f"  services/one/Dockerfile:44: rm /tmp/{'x' * 48} ..."


@pytest.mark.parametrize(
    ("tools", "warned"), [("pip==25.1 setuptools wheel", True), ("pip uv", False)]
)
def test_installers_that_no_image_has_are_listed_with_what_they_may_bring(
    tmp_path: Path, tools: str, warned: bool
) -> None:
    file = repository(tmp_path, "one")
    dockerfile = tmp_path / "services/one/Dockerfile"
    upgrade = f"RUN pip install --upgrade {tools} && pip"
    dockerfile.write_text(dockerfile.read_text().replace("RUN pip", upgrade))
    said = init(file, InitRequest(), QUIET)
    at = said.index("not needed any more:")
    assert said[at + 1] == f"  services/one/Dockerfile:4: pip install {tools}"
    assert ["`packaging` with wheel" in each for each in said[at + 2 :]] == [False, True] * warned


def test_a_group_without_a_number_is_no_silent_loss(tmp_path: Path) -> None:
    file = repository(tmp_path, "one")
    dockerfile = tmp_path / "services/one/Dockerfile"
    dockerfile.write_text(f"{dockerfile.read_text()}RUN useradd -u 1001 shop\nUSER shop:web\n")
    said = "\n".join(init(file, InitRequest(), QUIET))
    [one] = manifest(file).services
    assert one.user == "1001:1001"
    assert "services/one/Dockerfile:7: the group web of USER shop:web\n" in said
    assert "`user: 1001:NUMBER`" in said


def test_a_lock_that_is_older_than_its_project_is_reported(tmp_path: Path) -> None:
    project = '[project]\nname = "one"\nversion = "1"\ndependencies = ["httpx", "rich"]\n'
    lock = '[[package]]\nname = "httpx"\nversion = "1"\nsource = { registry = "x" }\n'
    files = {"pyproject.toml": project, "uv.lock": lock, "app.py": "print()\n"}
    files["Dockerfile"] = (
        "FROM python:3.11\nWORKDIR /app\nCOPY . .\nRUN uv sync\nCMD python app.py\n"
    )
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    init(tmp_path / "services.yaml", InitRequest(), QUIET)
    said = next_steps(tmp_path / "services.yaml")
    older = "warning: uv.lock: it is older than pyproject.toml, which requires rich"
    assert f"{older}\n  `uv lock` refreshes it" in said


def test_a_fault_in_a_file_that_the_manifest_names_hides_nothing_that_was_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "Dockerfile").write_text(
        "FROM python:3.11\nWORKDIR /app\nCOPY . .\nRUN pip install -r req/all.txt && make\n"
        "CMD python app.py\n"
    )
    (tmp_path / "req").mkdir()
    (tmp_path / "req/all.txt").write_text("-r more.txt\n")
    (tmp_path / "req/more.txt").write_text("./gone\n")
    (tmp_path / "app.py").touch()
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(slimbake, ["init"])
    assert isinstance(done.exception, ManifestError)
    [problem] = done.exception.problems
    assert "req/more.txt:1" in str(problem) and "'./gone' does not exist" in str(problem)
    assert "Dockerfile:4: RUN make" in done.stdout


def test_what_slimbake_wrote_is_no_repository_to_adopt(tmp_path: Path) -> None:
    file = repository(tmp_path, "one")
    init(file, InitRequest(), QUIET)
    (tmp_path / "bake/compose.yaml").write_text("services: {one: {image: 'x/one'}}\n")
    file.unlink()
    assert not any("bake/compose.yaml" in line for line in init(file, InitRequest(), QUIET))


@pytest.mark.parametrize(
    ("step", "user", "number"),
    [
        ("useradd -m -u 1001 shop", "shop", "1001:1001"),
        ("groupadd -g 1000 web && useradd --uid=1002 --gid web shop", "shop:web", "1002:1000"),
        ("adduser -Du 1003 shop", "shop", "1003:1003"),
        ("true", "1004:5", "1004:5"),
        ("useradd --system shop", "shop", None),
        ("useradd -u 1001 other", "shop", None),
        ("true", "root", None),
    ],
)
def test_a_user_of_todays_image_is_carried_over_by_its_number(
    step: str, user: str, number: str | None, tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text("print()\n")
    (tmp_path / "Dockerfile").write_text(
        f"FROM python:3.11\nRUN {step}\nCOPY . /app\nWORKDIR /app\nVOLUME /data\nUSER {user}\n"
        'CMD ["python", "app.py"]\n'
    )
    said = "\n".join(init(tmp_path / "services.yaml", InitRequest(), QUIET))
    [service] = manifest(tmp_path / "services.yaml").services
    assert service.user == (number or "")
    assert (f"USER {user}" in said) is (number is None)


SCRIPTS = '[project.scripts]\none-admin = "one:main"\n'
POETRY_SCRIPTS = '[tool.poetry.scripts]\none-admin = "one:main"\n'
ASKS = 'import importlib.metadata as m\nprint(m.version("one"))\n'


@pytest.mark.parametrize(
    ("step", "more", "code", "package"),
    [
        ("poetry install", POETRY_SCRIPTS, "", True),
        ("poetry install --no-root", POETRY_SCRIPTS, "", False),
        ("poetry install --no-root && poetry install --only-root", SCRIPTS, "", True),
        ("uv sync", SCRIPTS, "", True),
        ("uv sync --no-install-project", SCRIPTS, "", False),
        ("uv export", SCRIPTS, "", False),
        ("pip install .", SCRIPTS, "", True),
        ("uv sync", "", ASKS, True),
        ("uv sync", "", "", False),
    ],
)
def test_a_project_that_is_installed_is_a_package_for_its_programs_and_metadata(
    step: str, more: str, code: str, package: bool, tmp_path: Path
) -> None:
    head = '[project]\nname = "one"\nversion = "1"\n[build-system]\nrequires = ["hatchling"]\n'
    (tmp_path / "pyproject.toml").write_text(head + more)
    (tmp_path / "one").mkdir()
    (tmp_path / "one/__init__.py").write_text(code)
    (tmp_path / "Dockerfile").write_text(
        f"FROM python:3.11\nWORKDIR /app\nCOPY . .\nRUN {step}\nCMD python -m one\n"
    )
    entry = start(tmp_path / "services.yaml", InitRequest()).drafts[0].entry
    assert (entry.get("requirements") in (["."], ["./"], ["./."])) is package, entry


def test_a_dot_folder_of_a_package_that_the_code_imports_is_reported(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(
        "FROM python:3.11\nWORKDIR /app\nCOPY . .\nCMD streamlit run app.py\n"
    )
    (tmp_path / "app.py").write_text("import os, streamlit as st\nURL = 'https://github.com/x'\n")
    for name in (
        "ui/.streamlit/config.toml",
        ".github/workflows/x.yml",
        ".git/HEAD",
        ".editorconfig",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    notes = start(tmp_path / "services.yaml", InitRequest()).drafts[0].notes
    [note] = [each for each in notes if each.what.startswith(".")]
    assert (note.place.file, note.what) == ("ui/.streamlit", ".streamlit is not in the image")
    assert note.advice.endswith("the line `!ui/.streamlit` in .dockerignore keeps it")


def test_a_second_port_that_compose_publishes_is_reported(tmp_path: Path) -> None:
    file = repository(tmp_path, "one")
    (tmp_path / "compose.yaml").write_text(
        "services:\n  one:\n    build: services/one\n    ports: ['8080:80', '9100:9100', '9200']\n"
    )
    [draft] = start(file, InitRequest()).drafts
    assert (draft.entry["port"], draft.entry["publish"]) == (80, 8080)
    assert draft.entry["expose"] == [9100, 9200]
    [note] = [each for each in draft.notes if "published" in each.what]
    assert (note.place.line, note.what) == (4, "port 9100 is published at 9100, too")


@pytest.mark.parametrize("folder", ["env", ".envs/.local", "dist", ".docker/one"])
def test_what_a_compose_file_names_is_read_wherever_it_lies(folder: str, tmp_path: Path) -> None:
    file = repository(tmp_path, "one")
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / folder / ".vars").write_text("A=1\n")
    dockerfile = (tmp_path / "services/one/Dockerfile").read_text()
    (tmp_path / folder / "Dockerfile").write_text(dockerfile)
    (tmp_path / "services/one/Dockerfile").unlink()
    (tmp_path / "compose.yaml").write_text(
        "services:\n  redis: {image: redis}\n  one:\n    depends_on: [redis]\n"
        f"    build: {{context: services/one, dockerfile: ../../{folder}/Dockerfile}}\n"
        f"    env_file: ./{folder}/.vars\n"
    )
    [one] = start(file, InitRequest()).drafts
    assert not [note for note in one.notes if "not there" in note.what or "read" in note.what]
    assert one.entry["start"] == {"with": ["redis"]}
    assert one.entry["env_file"] == [f"{folder}/.vars"]


def test_a_variable_of_environment_wins_over_that_of_a_file(tmp_path: Path) -> None:
    file = repository(tmp_path, "one")
    (tmp_path / "one.env").write_text("LEVEL=file\nOTHER=1\nMODE=a\nCOLOUR=b\n")
    dockerfile = tmp_path / "services/one/Dockerfile"
    dockerfile.write_text(dockerfile.read_text() + "ENV COLOUR=a\n")
    (tmp_path / "compose.yaml").write_text(
        "services:\n  one:\n    build: services/one\n    env_file: one.env\n"
        "    environment: {LEVEL: environ$$ment, MODE: a}\n"
    )
    [one] = start(file, InitRequest()).drafts
    assert one.entry["environment"] == {"LEVEL": "environ$$ment"}
    assert one.entry["env"]["LEVEL"] == "environ$ment"


def test_what_several_places_have_is_printed_once(tmp_path: Path) -> None:
    file = repository(tmp_path, "one", "two")
    (tmp_path / "compose.yaml").write_text(
        "services:\n  one: {build: services/one, restart: always}\n"
        "  two:\n    build: services/two\n    restart: always\n"
    )
    said = "\n".join(init(file, InitRequest(), QUIET))
    assert said.count(": restart\n") == 1
    assert "  compose.yaml:2, 5: restart\n    this stays in the compose file" in said


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("volumes: ['static:/usr/share/nginx/html', 'kept:/data']", {"volumes": {"kept": "/data"}}),
        ("volumes: ['d:/a', 'kept:/data']", {"volumes": {"kept": "/data"}}),
        ("volumes: ['kept:/data', 'kept:/other']", {"volumes": {"kept": "/data"}}),
        ("stop_signal: '3'", {}),
        ("{entrypoint: ['/bin/sh', '-c'], command: ['a && b']}", {}),
    ],
)
def test_a_kept_dockerfile_never_costs_the_service(
    said: str, kept: dict[str, object], tmp_path: Path
) -> None:
    file = repository(tmp_path, "one", "two")
    (tmp_path / "services/two/Dockerfile").write_text("FROM nginx\n")
    more = said if said.startswith("{") else f"{{{said}}}"
    (tmp_path / "compose.yaml").write_text(
        "services:\n  one: {build: services/one}\n  two:\n    build: services/two\n"
        f"    <<: {more}\n"
    )
    _, two = start(file, InitRequest()).drafts
    found = {
        key: two.entry[key] for key in ("volumes", "stop_signal", "command") if key in two.entry
    }
    assert found == kept
    assert two.notes, "what is left out is named"


def test_a_service_that_falls_back_has_what_its_dockerfile_and_compose_file_say(
    tmp_path: Path,
) -> None:
    file = repository(tmp_path, "one")
    dockerfile = tmp_path / "services/one/Dockerfile"
    dockerfile.write_text(f"{dockerfile.read_text()}ENV MODEL=/srv/one/model\n")
    (tmp_path / "services/one/requirements.txt").write_text("not a requirement !!\n")
    (tmp_path / "compose.yaml").write_text(
        "services:\n  one:\n    build: services/one\n    command: python other.py\n"
        "    volumes: ['kept:/data']\n    env_file: one.env\n    tmpfs: /run/one\n"
    )
    (tmp_path / "one.env").write_text("TOKEN=1\n")
    (tmp_path / "services/one/app.py").write_text("import os\nos.environ['TOKEN']\n")
    [one] = start(file, InitRequest()).drafts
    assert (one.entry["env_file"], one.entry["tmpfs"]) == (["one.env"], ["/run/one"])
    assert one.entry["start"] == {"env": {"TOKEN": "1"}}, "no image holds it"
    assert one.entry["dockerfile"] == "services/one/Dockerfile"
    assert "MODEL" not in one.entry.get("env", {}), "the Dockerfile says it"
    assert (one.entry["command"], one.entry["volumes"]) == (
        ["python", "other.py"],
        {"kept": "/data"},
    )


@pytest.mark.parametrize(
    ("images", "registry"),
    [
        (
            ("registry.shop.example/team/one:1", "registry.shop.example/team/two"),
            "registry.shop.example/team",
        ),
        (("localhost:5000/one", "localhost:5000/jobs:${TAG:-latest}"), "localhost:5000"),
        (("registry.shop.example/one", "other.example/two"), None),
        (("shop/one", "shop/two"), None),
        (("ghcr.io/a..b/-x/one:1", "ghcr.io/a..b/-x/two"), None),
        (("one", "two"), None),
    ],
)
def test_the_registry_of_a_compose_file_s_images_is_the_manifest_s(
    tmp_path: Path, images: tuple[str, str], registry: str | None
) -> None:
    file = repository(tmp_path, "one", "two")
    one, two = images
    (tmp_path / "compose.yaml").write_text(
        f"services:\n  one: {{build: services/one, image: '{one}'}}\n"
        f"  two: {{build: services/two, image: '{two}'}}\n  db: {{image: 'docker.io/postgres'}}\n"
    )
    init(file, InitRequest(), QUIET)
    assert manifest(file).registry == registry


def test_what_comes_next_says_where_up_publishes_ports(tmp_path: Path) -> None:
    file = repository(tmp_path, "one")
    init(file, InitRequest(), QUIET)
    assert next_steps(file)[-3:] == [
        "  slimbake bake   locks, builds, checks and tags every image",
        "  slimbake up     starts them, with ports on 127.0.0.1 alone",
        "  then commit services.yaml, docker-bake.hcl, bake/ and what else `init` wrote",
    ]


def test_the_compose_file_at_the_root_is_no_line_that_was_lost(tmp_path: Path) -> None:
    """docs/plain-bake.md says that plain `docker buildx bake` reads it."""
    file = repository(tmp_path, "one")
    (tmp_path / "compose.yaml").write_text("services: {one: {build: services/one}}\n")
    assert "not carried over" not in "\n".join(init(file, InitRequest(), QUIET))


def test_pins_of_what_a_lock_has_for_development_keep_no_services_apart(tmp_path: Path) -> None:
    lock = (
        '[[package]]\nname = "{0}"\nsource = {{ virtual = "." }}\n'
        'dependencies = [{{ name = "httpx" }}, {{ name = "rich" }}]\n'
        '[package.dev-dependencies]\ndev = [{{ name = "pytest" }}]\n'
        '[[package]]\nname = "httpx"\nversion = "1"\nsource = {{ registry = "x" }}\n'
        '[[package]]\nname = "rich"\nversion = "{2}"\nsource = {{ registry = "x" }}\n'
        '[[package]]\nname = "pytest"\nversion = "{1}"\nsource = {{ registry = "x" }}\n'
    )

    def decided(name: str, pytest_version: str, rich: str) -> Started:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        (folder / "pyproject.toml").write_text(
            f'[project]\nname = "{name}"\nversion = "1"\ndependencies = ["httpx", "rich"]\n'
            '[dependency-groups]\ndev = ["pytest"]\n'
        )
        (folder / "uv.lock").write_text(lock.format(name, pytest_version, rich))
        (folder / "app.py").write_text("print()\n")
        (folder / "Dockerfile").write_text(
            "FROM python:3.11\nWORKDIR /app\nCOPY . .\nRUN uv sync --no-dev\nCMD python app.py\n"
        )
        return start(tmp_path / "services.yaml", InitRequest())

    decided("one", "8", "2")
    [base] = decided("two", "9", "2").sharing.bases
    assert base.services == ("one", "two")
    assert not decided("two", "9", "3").sharing.bases
