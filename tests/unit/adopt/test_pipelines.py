"""Where pipelines push images to: what is written, filled in, or not known."""

from __future__ import annotations

from pathlib import Path

import pytest

from slimbake.adopt.init import InitRequest, init, start
from slimbake.adopt.model import Place
from slimbake.adopt.pipelines import build_arguments, pushed, registry_in, registry_of
from slimbake.config import manifest
from slimbake.console import QUIET
from slimbake.render import MARK

FILE = ".github/workflows/build.yml"
ACTION = "      - uses: docker/build-push-action@v6\n        with:\n          context: .\n"
STEPS = "jobs:\n  a:\n    steps:\n"


def registries(text: str) -> list[tuple[int, str, str]]:
    return [(each.place.line, each.image, each.registry) for each in pushed({FILE: text})]


@pytest.mark.parametrize(
    ("text", "image", "registry"),
    [
        ("- run: docker push ghcr.io/acme/web:1\n", "ghcr.io/acme/web:1", "ghcr.io/acme"),
        ("- docker tag web quay.io/acme/web; x\n", "quay.io/acme/web", "quay.io/acme"),
        ("- docker push --quiet acme/web\n", "acme/web", "docker.io/acme"),
        ("- x --destination=quay.io/a/web:$TAG\n", "quay.io/a/web:$TAG", "quay.io/a"),
        (
            "- docker build \\\n   -t ghcr.io/acme/${{ matrix.image }}:${{ github.sha }} .\n- docker push x\n",
            "ghcr.io/acme/${{matrix.image}}:${{github.sha}}",
            "ghcr.io/acme",
        ),
        (
            'env:\n  HOST: "eu.gcr.io/acme"  # ours\n'
            f"{STEPS}{ACTION}          push: ${{{{ github.event_name != 'pull_request' }}}}\n"
            "          tags: |\n            ${{ env.HOST }}/web:${{ github.sha }}\n",
            "eu.gcr.io/acme/web:${{github.sha}}",
            "eu.gcr.io/acme",
        ),
        (f"{ACTION}          tags: a.b/web\n          push: true", "a.b/web", "a.b"),
        (
            f"env:\n  HOST: ghcr.io\n  NAME: ${{{{ github.repository }}}}\n{STEPS}"
            "      - with:\n          images: ${{ env.HOST }}/${{ env.NAME }}\n",
            "ghcr.io/${{github.repository}}",
            "",
        ),
        ("- docker push ${{ secrets.HOST }}/web\n", "${{secrets.HOST}}/web", ""),
        (
            "variables:\n  IMAGE: $CI_REGISTRY_IMAGE/web\na: {script: docker push $IMAGE:1}\n",
            "$CI_REGISTRY_IMAGE/web:1",
            "",
        ),
    ],
)
def test_a_pipeline_s_images_say_where_they_go(text: str, image: str, registry: str) -> None:
    assert [found for _, *found in registries(text)] == [[image, registry]]


@pytest.mark.parametrize(
    "text",
    [
        "on:\n  push:\n    tags: [release/x]\n",
        "# docker push ghcr.io/acme/web\n",
        "- docker build -t ghcr.io/acme/web .\n- git push origin main\n",
        "- docker push localhost:5000/web\n",
        "- docker push web\n",
        f"{ACTION}          push: false\n          tags: acme/web\n",
        f"{ACTION}          tags: acme/web\n",
        f"{ACTION}          push: true\n          tags: ${{{{ steps.meta.outputs.tags }}}}\n",
    ],
)
def test_what_is_not_pushed_says_nothing(text: str) -> None:
    assert registries(text) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "- {uses: x, with: {push: 'true', tags: 'a.b/web, c.d/web'}}\n",
            [(1, "a.b/web"), (1, "c.d/web")],
        ),
        ("- with: {push: 'false', tags: a.b/web}\n- docker push c.d/web\n", [(2, "c.d/web")]),
        ('a: {"script": ["docker push \\"a.b/web\\"", x]}\n', [(1, "a.b/web")]),
        ("- [kaniko, --destination=a.b/web]\n", [(1, "a.b/web")]),
        (
            "x: &given\n  push: true\n  tags: a.b/web\nsteps:\n- uses: x\n  with: *given\n",
            [(3, "a.b/web")],
        ),
        (
            "x: &all {HOST: a.b}\na:\n  variables: {<<: *all}\n  script: docker push $HOST/web\n",
            [(4, "a.b/web")],
        ),
        ("a: &push [docker push a.b/web]\nb: *push\n", [(1, "a.b/web")]),
        (
            "- with:\n    # push: false\n    tags: &t >-  # the tags\n      a.b/web\n      c.d/web\n"
            "    # - e.f/web\n    push: true\n",
            [(4, "a.b/web"), (5, "c.d/web")],
        ),
        ("- echo  # docker push a.b/web\n- |\n  # docker push a.b/web\n  echo\n", []),
        (
            "- >-\n  docker build\n  --tag \U0001f433.io/x\n  --tag a.b/web .\n- docker push c.d/web\n",
            [(4, "a.b/web"), (5, "c.d/web")],
        ),
        ("- docker\n    push a.b/web\n", [(1, "a.b/web")]),
        ('- "x\\ndocker push a.b/web"\n- y\n', [(1, "a.b/web")]),
        ("spec: {}\n---\na: !reference [docker push a.b/web]\n", [(3, "a.b/web")]),
    ],
)
def test_pipelines_are_read_as_yaml(text: str, found: list[tuple[int, str]]) -> None:
    assert [(line, image) for line, image, registry in registries(text) if registry] == found


@pytest.mark.parametrize(
    "text",
    [
        "a: [\n",
        "a: *nothing\n",
        "\x01",
        "[" * 9000,
        "? &a [*a]\n: &b {*a : *b}\n",
        "".join(f"{n}: &a{n} {{x: *a{n - 1}, y: *a{n - 1}}}\n" for n in range(1, 60)).replace(
            "*a0", "z"
        ),
    ],
)
def test_yaml_of_any_kind_stops_nothing(text: str) -> None:
    assert not pushed({FILE: text})
    assert not [*build_arguments({FILE: text}, ["ARG SHA"])]


def test_of_a_pipeline_that_is_no_yaml_the_commands_are_read() -> None:
    broken = "- docker push a.b/web\n# docker push c.d/web\n- docker build --build-arg SHA=1 {[\n"
    assert registries(broken) == [(1, "a.b/web", "a.b")]
    [note] = build_arguments({FILE: broken}, ["ARG SHA"])
    assert note.place.line == 3


def test_two_values_of_a_variable_leave_it_unknown() -> None:
    text = "- A=ghcr.io/one\n- A=ghcr.io/two\n- docker push $A/web\n"
    assert registries(text) == [(3, "$A/web", "")]


def test_images_in_two_places_give_no_registry_and_a_note_each() -> None:
    images = pushed({FILE: "- docker push a.b/web\n- docker push c.d/web\n"})
    registry, notes = registry_of(images, "")
    assert registry == ""
    assert [(str(each.place), each.what) for each in notes[:2]] == [
        (f"{FILE}:1", "it pushes a.b/web"),
        (f"{FILE}:2", "it pushes c.d/web"),
    ]
    assert "`registry: ghcr.io/OWNER`" in notes[0].advice


def test_the_registry_of_a_compose_file_wins_and_a_note_says_so() -> None:
    registry, [note, _] = registry_of(pushed({FILE: "- docker push a.b/web\n"}), "c.d")
    assert (registry, note.what) == ("c.d", "it pushes a.b/web")
    assert note.advice == "slimbake pushes all images to c.d, the `registry` of the manifest"


def test_build_arguments_of_pipelines_are_noted_where_a_dockerfile_has_another_default() -> None:
    text = (
        f'{STEPS}{ACTION}          build-args: "GIT_SHA=${{{{ github.sha }}}}"\n'
        f"{ACTION}          build-args: |\n            WHEN=$(date)\n            SAME=a\n"
        "            OF_BUILDKIT=1\n          tags: acme/web\n"
        '      - run: docker build --build-arg GIT_SHA=${{ github.ref }} --build-arg "LEVEL=high up"'
        " --build-arg KEY .\n"
        "# docker build --build-arg LEVEL=none .\n"
    )
    dockerfiles = ["ARG GIT_SHA=dev SAME='a'\nARG LEVEL\n", "ARG WHEN\nARG KEY\n"]
    [note] = build_arguments({FILE: text}, dockerfiles)
    assert note.what == (
        "build arguments: GIT_SHA=${{ github.sha }}, WHEN=$(date), "
        "GIT_SHA=${{ github.ref }}, LEVEL=high up, KEY=$KEY"
    )
    assert note.place == Place(FILE, f"{STEPS}{ACTION}".count("\n") + 1)
    assert not [*build_arguments({FILE: text}, ["ARG OTHER\n"])]


def test_a_name_of_docker_hub_names_no_host() -> None:
    assert [registry_in(each) for each in ("acme/web", "a.b/c/web:1")] == ["", "a.b/c"]


def test_init_writes_the_registry_of_a_workflow_that_goes_on(tmp_path: Path) -> None:
    workflows = tmp_path / ".github/workflows"
    workflows.mkdir(parents=True)
    (workflows / "bake.yml").write_text(f"# {MARK}\n- run: docker push other.io/web\n")
    (workflows / "build.yml").write_text(
        "- run: docker push ghcr.io/acme/web\n- docker build --build-arg SHA .\n"
    )
    (tmp_path / "Dockerfile").write_text(
        'FROM python:3.12\nARG SHA=dev\nCMD ["python", "-m", "http.server"]\n'
    )
    file = tmp_path / "services.yaml"
    printed = "\n".join(init(file, InitRequest(), QUIET))
    assert manifest(file).registry == "ghcr.io/acme"
    assert "\nci: {provider: github}\n" in file.read_text()
    assert f"  {FILE}:1: this pipeline goes on, beside slimbake's: " in printed
    assert "other.io" not in printed
    assert "build arguments: SHA=$SHA" in printed
    (workflows / "build.yml").unlink()
    (tmp_path / ".gitlab-ci.yml").write_text("a:\n  script: [docker push a.b/web]\n")
    assert "goes on" not in str(start(file, InitRequest()).notes)
