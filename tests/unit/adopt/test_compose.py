"""Compose files as people write them."""

from __future__ import annotations

from slimbake.adopt.compose import compose_facts, compose_files
from slimbake.adopt.model import ComposeFacts, ComposeService, Filled, Place, Repository


def repository(**files: str) -> Repository:
    texts = {name.replace("__", "/").replace("_", "."): text for name, text in files.items()}
    return Repository("repo", frozenset(texts), frozenset({"."}), texts)


def read(text: str, **others: str) -> ComposeFacts:
    found = repository(compose_yaml=text, **others)
    return compose_facts(found, compose_files(found))


def only(text: str, **others: str) -> ComposeService:
    [service] = read(text, **others).services
    return service


def test_anchors_and_merges_keep_the_line_where_they_are_written() -> None:
    service = only(
        "x-base: &base\n  environment: {A: one}\n  restart: always\n"
        "services:\n  web:\n    <<: *base\n    build: .\n"
    )
    assert service.env["A"].place == Place("compose.yaml", 2)
    assert [(note.place.line, note.what) for note in service.notes] == [(3, "restart")]


def test_a_service_has_what_it_extends_in_another_file() -> None:
    service = only(
        "services:\n  web:\n    extends: {file: common/base.yml, service: app}\n"
        "    environment: {B: two}\n",
        common__base_yml="services:\n  app:\n    build: ../code\n    command: run it\n"
        "    environment: [A=one, B=one]\n",
    )
    assert service.build is not None
    assert (service.build.context, service.build.dockerfile) == ("code", "code/Dockerfile")
    assert {name: said.value for name, said in service.env.items()} == {"A": "one", "B": "two"}
    assert service.command is not None
    assert service.command.words == ("run", "it")
    assert not service.command.shell


def test_what_stays_of_a_service_that_is_extended_or_overrides_is_a_note() -> None:
    found = read(
        "services:\n  web:\n    extends: {file: base.yml, service: app}\n    build: .\n",
        base_yml="services:\n  app:\n    logging: {driver: local}\n    secrets: [token]\n",
        compose_override_yaml="services:\n  web: {restart: always}\n",
    )
    [web] = found.services
    assert [(str(note.place), note.what, note.service) for note in web.notes] == [
        ("base.yml:4", "secrets: /run/secrets/token", "web"),
        ("base.yml:3", "logging", "web"),
        ("compose.override.yaml:2", "restart", "web"),
    ]


def test_the_override_beside_it_wins_and_other_files_are_named() -> None:
    found = read(
        "services:\n  web: {build: ., ports: ['1:80']}\n",
        compose_override_yaml="services:\n  web: {ports: ['2:80']}\n",
        compose_prod_yaml="services: {}\n",
    )
    [web] = found.services
    assert [(host, said.value) for host, said in web.ports] == [("2", "80")]
    assert [note.place.file for note in found.notes] == ["compose.prod.yaml"]


def test_what_an_override_would_change_in_the_image_is_a_note() -> None:
    web, job = read(
        "services:\n  web: {build: {context: ., target: app}, user: '7', command: serve}\n"
        "  job: {build: ., user: '7'}\n",
        compose_override_yaml="services:\n  web:\n    build: {context: ., target: dev}\n"
        "    user: '7'\n    command: [serve, --reload, $FAST]\n"
        "    healthcheck: {disable: true}\n  job: {command: job db://a:b@c}\n",
        _env="FAST=1\n",
    ).services
    assert web.build is not None and web.command is not None
    assert (web.build.target, web.command.words) == ("app", ("serve",))
    assert (web.healthcheck, job.command) == (None, None)
    assert [(str(note.place), note.what) for note in (*web.notes, *job.notes)] == [
        ("compose.override.yaml:5", "command: serve --reload 1"),
        ("compose.override.yaml:6", "healthcheck"),
        ("compose.override.yaml:2", "build"),
        ("compose.override.yaml:7", "command: job ..."),
    ]
    assert "`slimbake init --compose compose.yaml`" in web.notes[0].advice


def test_what_an_override_does_not_name_stays() -> None:
    web = only(
        "services:\n  web: {build: ., profiles: [tools], init: true}\n",
        compose_override_yaml="services:\n  web: {command: b}\n",
    )
    assert (web.starts, web.init) == (False, True)


def test_a_secret_that_an_override_holds_is_filled_in_nowhere() -> None:
    (web,) = read(
        "services:\n  web: {build: .}\n",
        compose_override_yaml="services:\n  web:\n    environment:\n"
        "      API_KEY: s3cret\n      LEVEL: debug\n      DB_URL: ${DB_URL:-db://a:b@c/d}\n",
    ).services
    assert {name: each.written for name, each in web.filled.items()} == {
        "LEVEL": "debug",
        "DB_URL": "${DB_URL:-db://a:b@c/d}",
    }
    assert [*web.env] == ["API_KEY"]  # which the draft leaves out, with a note


def test_variables_of_an_override_are_of_containers_and_the_image_keeps_the_main_files() -> None:
    web = only(
        "services:\n  web:\n    build: .\n"
        "    environment: {LEVEL: '${LEVEL:-INFO}', SAME: a, TOKEN: '${TOKEN}'}\n",
        compose_override_yaml="services:\n  web:\n    environment:\n      LEVEL: ${X:-DEBUG}\n"
        "      SAME: a\n      WORKERS: 1\n      TOKEN: t$$\n      PYTHONPATH: /src\n",
    )
    assert {name: said.value for name, said in web.env.items()} == {
        "LEVEL": "INFO",
        "SAME": "a",
        "TOKEN": "t$",  # which the draft leaves out, with a note
        "PYTHONPATH": "/src",
    }
    assert web.filled == {
        "LEVEL": Filled("${X:-DEBUG}", "DEBUG"),
        "WORKERS": Filled("1", "1"),
    }


def test_variables_have_their_defaults_and_values_of_the_machine_stay_out() -> None:
    service = only(
        "services:\n  web:\n    build: .\n    command: 'run ${MODE:-fast} $$HOME'\n"
        "    environment:\n      A: ${A:-x}\n      B: ${B}\n      C:\n      D: $SET\n",
        _env="SET=from the machine\n",
    )
    assert service.command is not None
    assert service.command.words == ("run", "fast", "$HOME")
    assert {name: said.value for name, said in service.env.items()} == {"A": "x"}
    assert service.filled == {
        "A": Filled("${A:-x}", "x"),
        "B": Filled("${B}", ""),
        "D": Filled("$SET", "from the machine"),
    }
    assert list(service.passed) == ["C"]
    assert [(note.place.line, note.what) for note in service.notes] == [
        (8, "C has its value from the shell"),
    ]


def test_options_of_folders_in_memory_stay_in_the_compose_file() -> None:
    service = only(
        "services:\n  web:\n    build: .\n    tmpfs: ['/tmp:size=64m,mode=1777', '/a:mode=1777', /b]\n"
        "    volumes:\n      - {type: tmpfs, target: /c, tmpfs: {size: 1g}}\n"
    )
    assert [said.value for said in service.tmpfs] == ["/tmp", "/a", "/b", "/c"]  # noqa: S108
    assert [note.what for note in service.notes] == ["tmpfs /tmp: size=64m", "tmpfs /c: size=1g"]


def test_ports_volumes_and_health_checks_in_both_forms() -> None:
    service = only(
        "services:\n  web:\n    build: .\n"
        "    ports: [80, '127.0.0.1:8081:81/tcp', {target: 82, published: '8082'}, '90-92:90-92']\n"
        "    volumes: ['data:/data', './x:/y:ro', {type: volume, source: v, target: /v}, /anonymous]\n"
        "    tmpfs: /run/x:size=1m\n"
        "    healthcheck: {test: [CMD, check, it], interval: 5s, retries: 3}\n"
    )
    assert [(host, said.value) for host, said in service.ports] == [
        ("", "80"),
        ("8081", "81"),
        ("8082", "82"),
    ]
    assert [(source, said.value) for source, said in service.volumes] == [
        ("data", "/data"),
        ("./x", "/y"),
        ("v", "/v"),
        ("", "/anonymous"),
    ]
    assert [said.value for said in service.tmpfs] == ["/run/x"]
    assert service.healthcheck is not None
    assert service.healthcheck.command is not None
    assert service.healthcheck.command.words == ("check", "it")
    assert service.healthcheck.settings == (("interval", "5s"), ("retries", "3"))
    assert [note.what for note in service.notes] == ["the port 90-92", "tmpfs /run/x: size=1m"]


def test_jobs_gpus_and_profiles() -> None:
    found = read(
        "services:\n  init: {build: .}\n  web:\n    build: .\n    profiles: [all]\n"
        "    depends_on: {init: {condition: service_completed_successfully}}\n"
        "    deploy: {resources: {reservations: {devices: [{capabilities: [gpu]}]}}}\n"
    )
    assert found.jobs == {"init"}
    web = found.services[1]
    assert web.gpu
    assert web.beside == {"init": "service_completed_successfully"}
    assert any(note.what.startswith("`profiles`") for note in web.notes)


def test_files_that_compose_gives_are_named_by_their_paths_apart_from_what_is_about_running() -> (
    None
):
    web = only(
        "services:\n  web:\n    build: .\n    restart: always\n"
        "    secrets: [key, {source: token, target: API_TOKEN}, {source: a, target: /etc/a}]\n"
        "    configs: [{source: b, target: /etc/b}]\n"
    )
    assert [(note.place.line, note.what) for note in web.notes] == [
        (5, "secrets: /run/secrets/key, /run/secrets/API_TOKEN, /etc/a"),
        (6, "configs: /etc/b"),
        (4, "restart"),
    ]
    assert web.notes[0].advice.startswith("containers of `slimbake up` do not have them")
    assert "restart" not in web.notes[0].what


def test_tags_of_compose_are_read_and_broken_yaml_is_reported_with_its_line() -> None:
    assert read("services:\n  web: {build: ., ports: !reset []}\n").notes == ()
    broken = read("services:\n  web: {build: .\n")
    assert [note.place.line for note in broken.notes] == [2]


def test_a_service_that_extends_itself_ends() -> None:
    assert only("services:\n  web: {build: ., extends: web}\n").name == "web"


def test_included_files_count() -> None:
    found = read(
        "include: [db/compose.yaml]\nservices:\n  web: {build: .}\n",
        db__compose_yaml="services:\n  db: {image: 'postgres:16'}\n",
    )
    assert {service.name for service in found.services} == {"db", "web"}


FILLED = """
services:
  one:
    build: .
    env_file: one.env
    environment: {A: "${A}", B: "${B:-b}", C: , D: "${D:-d}", E: "x$A", LOW: "info"}
  other: {build: ., ports: ["${PORT}:80"], image: "own:${TAG}"}
"""


def test_long_forms_of_volumes_say_their_kind() -> None:
    service = only(
        "services:\n  one:\n    build: .\n    volumes:\n"
        "      - {type: tmpfs, target: /scratch}\n"
        "      - {type: bind, source: data, target: '${AT:-/data}'}\n"
        "      - {type: volume, source: kept, target: /kept}\n"
    )
    assert [said.value for said in service.tmpfs] == ["/scratch"]
    volumes = [(source, said.value) for source, said in service.volumes]
    assert volumes == [("./data", "/data"), ("kept", "/kept")]


def test_ports_of_udp_are_notes() -> None:
    service = only(
        "services:\n  one:\n    build: .\n    ports:\n"
        "      - 8125:8125/udp\n      - {target: 9125, protocol: udp}\n      - 80:80/tcp\n"
    )
    assert [(host, said.value) for host, said in service.ports] == [("80", "80")]
    assert [note.what for note in service.notes] == ["the port 8125/udp", "the port 9125/udp"]


def test_a_volume_that_slimbake_up_would_not_make_alike_is_a_note() -> None:
    found = read(
        "services:\n  one: {build: ., volumes: ['a:/a', 'b:/b']}\n  db: {image: x, volumes: ['c:/c']}\n"
        "volumes:\n  a: {external: true}\n  b: {driver: local}\n  c: {name: shared}\n"
    )
    assert [(note.place.line, note.what) for note in found.notes] == [(5, "the volume a: external")]


def test_compose_files_are_named_where_none_is_read() -> None:
    texts = {
        "docker-compose.prod.yml": "services:\n  one:\n    build: .\n",
        "compose.db.yml": "services:\n  db: {image: postgres}\n",
    }
    found = compose_facts(Repository("r", frozenset(texts), frozenset({"."}), texts), ())
    assert [str(note) for note in found.notes] == [
        "docker-compose.prod.yml: this compose file was not read\n"
        "  `slimbake init --compose docker-compose.prod.yml` reads it"
    ]


def test_what_compose_fills_in_stays_as_it_is_written() -> None:
    one, other = read(FILLED, _env="A=1\nB=2\nC=3\nPORT=80\nTAG=a\n", one_env="").services
    assert [said.value for said in one.env_files] == ["one.env"]
    assert (one.passed, one.notes) == ({}, ())
    assert {name: each.written for name, each in one.filled.items()} == {
        "A": "${A}",
        "B": "${B:-b}",
        "C": "${C}",
        "D": "${D:-d}",
        "E": "x$A",
    }
    assert [each.value for each in one.filled.values()] == ["1", "2", "3", "d", "x1"]
    assert {name: said.value for name, said in one.env.items()} == {
        "B": "b",
        "D": "d",
        "LOW": "info",
    }
    assert other.filled == {}


def test_what_a_dot_env_sets_changes_neither_what_images_hold_nor_ports() -> None:
    text = """\
services:
  one:
    build: .
    environment:
      GREETING: ${GREETING:-hello}
      DSN: ${DSN:-sqlite://}
      PYTHONPATH: ${SOURCES:-/app}
      NAME: ${NAME}
    ports: ["127.0.0.1:${ONE:?see .env.example}:80", "${TWO:-${GREETING:-2}}:81", "3:82"]
  two:
    build: .
    ports: [{published: "${ONE}", target: 80}]
"""
    values = "GREETING=1\nDSN=db://a:b@c\nSOURCES=/x\nNAME=x\nONE=1\nTWO=22\n"
    without, given = read(text).services, read(text, _env=values).services
    for one, other in zip(without, given, strict=True):
        assert (one.env, one.ports, one.notes) == (other.env, other.ports, other.notes)
        assert {n: e.written for n, e in one.filled.items()} == {
            n: e.written for n, e in other.filled.items()
        }
    assert {name: said.value for name, said in without[0].env.items()} == {
        "GREETING": "hello",
        "DSN": "sqlite://",
        "PYTHONPATH": "/app",
    }
    assert [*without[0].filled] == ["GREETING", "DSN", "NAME"]
    assert [host for host, _ in without[0].ports] == ["", "2", "3"]
    assert [note.what for each in without for note in each.notes] == [
        "the published port ${ONE:?see .env.example}",
        "the published port ${TWO:-${GREETING:-2}}",
        "the published port ${ONE}",
    ]


def test_a_secret_with_a_default_stays_as_it_is_written_without_a_dot_env() -> None:
    text = """\
services:
  one:
    build: .
    environment:
      DATABASE_URL: "postgres://app:${DB_PASSWORD:-apples}@db/app"
      API_KEY: ${API_KEY:-none}
      API_KEY_FILE: ${API_KEY_FILE:-/run/secrets/key}
      LEVEL: ${LEVEL:-info}
      TOKEN: fixed
"""
    (one,) = read(text).services
    assert [*one.filled] == ["DATABASE_URL", "API_KEY", "LEVEL"]
    assert [*one.env] == ["API_KEY_FILE", "LEVEL", "TOKEN"]


def test_a_dot_env_that_slimbake_does_not_look_at_is_a_note() -> None:
    files = {"deploy/compose.yaml": FILLED, "deploy/.env": "A=1\n"}
    found = compose_facts(Repository("x", frozenset(files), frozenset("."), files), (*files,)[:1])
    assert [str(note.place) for note in found.notes] == ["deploy/.env"]


def test_what_a_service_sets_itself_is_not_what_it_extends_has() -> None:
    found = read(
        "services:\n"
        "  base:\n    build: .\n    environment: {A: '${A}', B: '${B}', C: , D: '${E}/', F: f}\n"
        "  one:\n    extends: base\n    environment: {A: a, B: b, C: c, D: d, F: }\n"
        "  two: {extends: base}\n",
        _env="A=1\nE=e\n",
    )
    _, one, two = found.services
    assert {name: said.value for name, said in one.env.items()} == {
        name: name.lower() for name in "ABCD"
    }
    assert (one.filled, list(one.passed)) == ({}, ["F"])
    assert [note.what for note in one.notes] == ["F has its value from the shell"]
    assert {name: each.written for name, each in two.filled.items()} == {
        "A": "${A}",
        "B": "${B}",
        "D": "${E}/",
    }
    assert [note.what for note in two.notes] == ["C has its value from the shell"]


def test_a_command_of_one_s_own_does_not_listen_where_an_anchor_exposes() -> None:
    found = read(
        "x-app: &app\n  build: .\n  expose: [8000]\nservices:\n"
        "  web: &web\n    <<: *app\n  worker:\n    <<: *web\n    command: celery worker\n"
        "  other:\n    <<: *app\n    command: serve\n    expose: [9000]\n"
        "  beat:\n    extends: {service: web}\n    entrypoint: [celery, beat]\n"
        "  copy:\n    extends: {service: web}\n",
        compose_override_yaml="services:\n  web: {command: serve --slowly}\n",
    )
    exposed = {each.name: [said.value for said in each.expose] for each in found.services}
    assert exposed == {
        "web": ["8000"],
        "worker": [],
        "other": ["9000"],
        "beat": [],
        "copy": ["8000"],
    }


def test_reset_and_override_take_nothing_over() -> None:
    [web, beat] = read(
        "services:\n  web:\n    build: .\n    command: serve\n    ports: ['80:80']\n    user: '7'\n"
        "    environment: {A: one, B: $SET}\n    volumes: ['data:/data']\n"
        "  beat:\n    extends: web\n    ports: !reset []\n    volumes: !override ['more:/more']\n",
        compose_override_yaml="services:\n  web:\n    environment: !reset null\n",
        _env="SET=x\n",
    ).services
    assert [said.value for _, said in web.ports] == ["80"]
    assert (web.env, web.filled) == ({}, {})
    assert (beat.ports, [said.value for _, said in beat.volumes]) == ((), ["/more"])
    assert beat.command is not None
    assert beat.command.words == ("serve",)
    assert [*beat.env, *beat.filled] == ["A", "B"]


def test_what_env_fills_into_a_command_is_a_note() -> None:
    service = only(
        "services:\n  web:\n    build: .\n    command: [run, '${N:-4}', $LEVEL, $$HOME]\n",
        _env="N=8\nHOME=/x\n",
    )
    assert service.command is not None
    assert service.command.words == ("run", "8", "", "$HOME")
    [frozen, unset] = service.notes
    assert (frozen.place.line, frozen.what) == (4, "`command` has the values of N")
    assert frozen.advice.startswith("another value in `.env` or the shell has no effect until")
    assert unset.what == "LEVEL is not set, in `$LEVEL`"


def test_what_a_build_does_not_say_is_that_of_the_service_below() -> None:
    found = read(
        "services:\n  web:\n    build: {context: code, dockerfile: docker/web, target: prod}\n"
        "  dev:\n    extends: web\n    build: {target: dev, args: {A: b}}\n"
        "  other:\n    extends: web\n    build: {dockerfile: docker/other}\n"
        "  moved:\n    extends: web\n    build: more\n",
    )
    assert {
        each.name: (each.build.context, each.build.dockerfile, each.build.target, each.build.args)
        for each in found.services
        if each.build
    } == {
        "web": ("code", "code/docker/web", "prod", {}),
        "dev": ("code", "code/docker/web", "dev", {"A": "b"}),
        "other": ("code", "code/docker/other", "prod", {}),
        "moved": ("more", "more/docker/web", "prod", {}),
    }
