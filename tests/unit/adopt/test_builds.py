"""Which services a Dockerfile has that no compose file names, by what builds it."""

from __future__ import annotations

from pathlib import Path

import pytest

from slimbake.adopt.builds import declared
from slimbake.adopt.hcl import blocks
from slimbake.adopt.init import InitRequest, Started, all_notes, start
from slimbake.adopt.survey import survey

STAGES = (
    "FROM python:3.12-slim AS base\nWORKDIR /srv\nCOPY requirements.txt .\n"
    "RUN pip install -r requirements.txt\nCOPY . .\n"
    'FROM base AS api\nCMD ["uvicorn", "api:app"]\n'
    'FROM base AS development\nCMD ["python", "-m", "debugpy", "api.py"]\n'
    'FROM base AS worker\nCMD ["celery", "-A", "worker", "worker"]\n'
)
ONE_EACH = (
    "FROM python:3.12-slim\nARG SERVICE\nWORKDIR /app\n"
    "COPY services/${SERVICE}/requirements.txt requirements.txt\nRUN pip install -r requirements.txt\n"
    'COPY services/${SERVICE}/ ./\nCMD ["uvicorn", "main:app"]\n'
)
WORKFLOW = """
jobs:
  images:
    strategy:
      matrix:
        service: [search, rank]
        python: ["3.11", "3.12"]
    steps:
      - uses: docker/build-push-action@v6
        with:
          context: .
          build-args: |
            SERVICE=${{ matrix.service }}
            SHA=${{ github.sha }}
          tags: ghcr.io/acme/${{ matrix.service }}:latest
"""


def adopted(root: Path, files: dict[str, str]) -> Started:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return start(root / "services.yaml", InitRequest())


def commands(decided: Started) -> dict[str, str]:
    return {each.name: " ".join(each.entry["command"]) for each in decided.drafts}


BAKE = """
variable "TAG" { default = "dev" }  # of all
target "_all" {
  args = { A = "1" }
  dockerfile = "Dockerfile"
}
target "api" {
  inherits = ["_all"]
  target = "api"
  tags = ["acme/api:${TAG}", "acme/api:${BUILD == "x" ? 1 : 2}"]
}
target "jobs" { inherits = ["_all"], target = "worker" }
"""
CODE = {"requirements.txt": "fastapi\nuvicorn\ncelery\n", "api.py": "app = 1\n", "worker.py": ""}


@pytest.mark.parametrize(
    ("file", "text", "names"),
    [
        ("docker-bake.hcl", BAKE, {"api", "jobs"}),
        (
            "docker-bake.hcl",
            'target "x" {\n  name = "s-${at}"\n  matrix = { at = ["api", "worker"] }\n  target = at\n}\n',
            {"s-api", "s-worker"},
        ),
        (
            "Makefile",
            "all:\n\tdocker build --target api -t acme/api .\n"
            "\tdocker build --target development -t acme/dev .\n"
            "\tdocker buildx build --target=worker \\\n\t  -t $(REG)/jobs:$(TAG) .\n",
            {"api", "jobs"},
        ),
        (
            "build.sh",
            "for other in a b; do\n  echo $other\ndone\nfor part in api worker; do\n"
            "  docker build --target ${part} -t reg.io/$part:$TAG .\ndone\n"
            "for x in $ALL; do docker build --target $x .; done\n",
            {"api", "worker"},
        ),
        (
            "Makefile",
            "all:\n\tfor s in api worker; do \\\n\t  docker build --target $$s -t x/$$s . ; \\\n\tdone\n",
            {"api", "worker"},
        ),
        (
            ".gitlab-ci.yml",
            "build:\n  parallel: {matrix: [{PART: [api, worker]}]}\n"
            "  script: ['docker build --target $PART -t $REG/$PART:1 .']\n",
            {"api", "worker"},
        ),
        (
            ".github/workflows/a.yml",
            "jobs:\n  a:\n    strategy: {matrix: {include: [{part: api}, {part: worker}]}}\n"
            "    steps:\n      - run: docker build --target ${{ matrix.part }} -t x/${{matrix.part}} .\n",
            {"api", "worker"},
        ),
    ],
)
def test_each_stage_that_something_builds_is_a_service(
    tmp_path: Path, file: str, text: str, names: set[str]
) -> None:
    decided = adopted(tmp_path, {"Dockerfile": STAGES, file: text, **CODE})
    assert commands(decided).keys() == names
    assert {"uvicorn api:app", "celery -A worker worker"} == {*commands(decided).values()}
    assert not [each for each in all_notes(decided) if "stage" in each.what]


def test_a_stage_with_a_command_that_nothing_builds_is_a_note(tmp_path: Path) -> None:
    decided = adopted(tmp_path, {"Dockerfile": STAGES, **CODE})
    assert [*commands(decided).values()] == ["celery -A worker worker"]
    [note] = [each for each in all_notes(decided) if "stage" in each.what]
    assert str(note) == (
        "Dockerfile:7: the stage api has a command of its own, and no service is built from it\n"
        "  if one is, name it in a compose file, with `target: api`"
    )


def test_arguments_of_a_matrix_make_services_and_versions_of_python_do_not(tmp_path: Path) -> None:
    files = {f"services/{name}/main.py": "app = 1\n" for name in ("search", "rank")}
    files |= {"services/search/requirements.txt": "fastapi\n", "Dockerfile": ONE_EACH}
    files["services/rank/requirements.txt"] = "flask\n"
    decided = adopted(tmp_path, {**files, ".github/workflows/a.yml": WORKFLOW})
    assert {each.name: each.entry["context"] for each in decided.drafts} == {
        "search": "services/search",
        "rank": "services/rank",
    }
    assert not [
        each for each in all_notes(decided) if each.what.startswith("build arguments: SERV")
    ]


def test_a_build_that_lacks_an_argument_which_others_have_is_none(tmp_path: Path) -> None:
    files = {"services/rank/main.py": "app = 1\n", "services/rank/requirements.txt": "flask\n"}
    make = "all:\n\tdocker build -t all .\n\tdocker build --build-arg SERVICE=rank -t rank .\n"
    decided = adopted(tmp_path, {**files, "Dockerfile": ONE_EACH, "Makefile": make})
    assert [each.entry["context"] for each in decided.drafts] == ["services/rank"]


def test_a_readme_names_no_service_and_neither_does_a_build_of_another_folder(
    tmp_path: Path,
) -> None:
    files = {
        "README.md": "docker build --target api .\n",
        "Makefile": "a:\n\tdocker build --target api -f nowhere/Dockerfile .\n",
    }
    adopted(tmp_path, {"Dockerfile": STAGES, **files, **CODE})
    assert not [*declared(survey(tmp_path))]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ('target "a" {\n args = {\n  A = "1"\n  B = x\n }\n}', [{"args": {"A": "1", "B": "${x}"}}]),
        ('target "a" { tags = ["a", f("b"), c ? 1 : 2] }', [{"tags": ["a", "$", "$"]}]),
        ('target "a" { x = [}', [{"x": []}]),
        ('target "a" { x = ', [{"x": "$"}]),
        ("/* target */ # x\n<<EOF\n} ] {", []),
        (
            'variable "V" {\n validation { condition = 1 > 0 }\n default = true\n}',
            [{"default": "true"}],
        ),
    ],
)
def test_hcl_is_read_and_what_is_none_ends(text: str, values: list[dict[str, object]]) -> None:
    assert [each.values for each in blocks(text)] == values


def test_a_target_for_development_gives_way_to_the_one_that_a_pipeline_builds(
    tmp_path: Path,
) -> None:
    compose = "services:\n  web:\n    build: {context: ., target: development}\n"
    files = {"Dockerfile": STAGES, "compose.yaml": compose, **CODE}
    assert commands(adopted(tmp_path, files)) == {"web": "python -m debugpy api.py"}
    make = {"Makefile": "all:\n\tdocker build --target api .\n"}
    decided = adopted(tmp_path, make)
    assert commands(decided) == {"web": "uvicorn api:app"}
    [note] = [each for each in all_notes(decided) if "development" in each.what]
    assert note.advice == "the image is the stage api, which Makefile:2 builds"
    adopted(tmp_path, {"Makefile": "all:\n\tdocker build --target api .\n\tdocker build .\n"})
    assert commands(adopted(tmp_path, {})) == {"web": "python -m debugpy api.py"}


def test_builds_that_only_their_variables_tell_apart_are_services_by_their_names(
    tmp_path: Path,
) -> None:
    text = 'FROM python:3.12\nARG MODEL=a\nENV MODEL=$MODEL\nCOPY . /srv\nWORKDIR /srv\nCMD ["python", "api.py"]\n'
    build = "\tdocker build --build-arg MODEL={} -t acme/{} .\n"
    make = "all:\n" + build.format("b", "web") + build.format("c", "web")
    files = {"Dockerfile": text, "api.py": "", "requirements.txt": "flask\n", "Makefile": make}
    [web] = adopted(tmp_path, files).drafts
    assert web.entry["env"] == {"MODEL": "b"}
    one, two = adopted(tmp_path, {"Makefile": make + build.format("c", "other")}).drafts
    assert (one.name, two.name) == ("web", "other")
    assert two.entry["env"] == {"MODEL": "c"}
