"""Which folder becomes /app, for what Dockerfiles copy."""

from __future__ import annotations

import pytest

from slimbake.adopt.code import Unreadable, code_of
from slimbake.adopt.dockerfile import dockerfile_facts
from slimbake.adopt.model import Repository

FILES = (
    *("services/api/main.py", "services/api/requirements.txt", "services/api/api/__init__.py"),
    *("libs/text/text/__init__.py", "shared/__init__.py", "config/prod/x.yaml"),
)


def repository() -> Repository:
    folders = {"."}
    for file in FILES:
        parts = file.split("/")[:-1]
        folders |= {"/".join(parts[: n + 1]) for n in range(len(parts))}
    return Repository("r", frozenset(FILES), frozenset(folders), {})


def code(lines: str, context: str = ".", installed: str = "") -> tuple[str, str, str, str]:
    facts = dockerfile_facts(f"FROM python:3.11\nWORKDIR /srv\n{lines}", "Dockerfile")
    assert facts is not None
    found = code_of(facts, context, repository(), frozenset({installed} - {""}))
    return found.context, found.inner, " ".join(found.paths), found.moved("/srv/a:/srvx")


@pytest.mark.parametrize(
    ("lines", "context", "inner", "paths"),
    [
        ("COPY . .", ".", "", ""),
        ("COPY . /srv/", ".", "", ""),
        ("COPY services/api/ .", "services/api", "", ""),
        ("ADD ./services/api /srv", "services/api", "", ""),
        ("COPY services/api/main.py /srv/main.py", "services/api", "", ""),
        ("COPY services/api/api ./api", "services/api", "", ""),
        ("COPY services/api/requirements.txt .\nCOPY services/api .", "services/api", "", ""),
        ("COPY services services", ".", "", ""),
        ("COPY . /srv\nWORKDIR services/api", "services/api", "", ""),
        ("COPY services/api .\nCOPY shared shared", ".", "services/api", "/app/services/api /app"),
        (
            "COPY services/api/api api\nCOPY libs/text/text text",
            ".",
            "services/api",
            "/app/services/api /app/libs/text",
        ),
    ],
)
def test_the_folder_is_the_one_that_the_working_directory_is(
    lines: str, context: str, inner: str, paths: str
) -> None:
    found = code(lines)
    assert found[:3] == (context, inner, paths)


@pytest.mark.parametrize(
    ("stage", "take"),
    [
        ("COPY services services", "COPY --from=build /src/services/api ."),
        ("COPY services/api api", "COPY --from=build /src/api /srv"),
        ("COPY . .", "COPY --from=build /src/services/api /srv"),
        ("COPY . .", "COPY --from=build --chown=a /src/services/api/main.py /srv/"),
        ("COPY services/api/api api/api", "COPY --from=build /src/api /srv"),
    ],
)
def test_code_that_comes_by_another_stage_is_found(stage: str, take: str) -> None:
    text = (
        f"FROM python:3.11 AS build\nWORKDIR /src\n{stage}\nFROM python:3.11\nWORKDIR /srv\n{take}"
    )
    facts = dockerfile_facts(text, "Dockerfile")
    assert facts is not None
    assert code_of(facts, ".", repository(), frozenset()).context == "services/api"


def test_what_is_installed_as_a_package_is_no_code_of_the_service() -> None:
    lines = "COPY libs/text text\nCOPY services/api ."
    assert code(lines, installed="/srv/text")[0] == "services/api"


def test_modules_that_get_another_name_are_refused_and_other_files_are_not() -> None:
    with pytest.raises(Unreadable) as refused:
        code("COPY services/api .\nCOPY shared common")
    assert refused.value.note.what == "shared is copied under another name, /srv/common"
    assert code("COPY services/api .\nCOPY config/prod settings")[0] == "services/api"


def test_paths_of_the_working_directory_follow_and_others_stay() -> None:
    assert code("COPY . .")[3] == "/app/a:/srvx"
    assert code("COPY services/api .\nCOPY shared shared")[3] == "/app/services/api/a:/srvx"


def test_a_folder_that_stays_where_it_is_does_not_move_with_the_folder_around_it() -> None:
    facts = dockerfile_facts(
        "FROM python:3.11\nWORKDIR /app\nCOPY services/api .\nCOPY libs ./libs\n", "Dockerfile"
    )
    assert facts is not None
    found = code_of(facts, ".", repository(), frozenset())
    assert found.moved("/app/api:/app/libs/text") == "/app/services/api/api:/app/libs/text"
    assert found.moves("/app/libs and /app") == {"/app": "/app/services/api"}


@pytest.mark.parametrize(
    ("lines", "context", "root"),
    [
        ("COPY config/prod /req\nCOPY services/api/main.py /main.py", "services/api", "/"),
        ("COPY config/prod /req\nCOPY services/api /code", "services/api", "/code"),
        ("COPY config/prod /req", "config/prod", "/req"),
    ],
)
def test_without_a_working_directory_the_code_says_what_becomes_app(
    lines: str, context: str, root: str
) -> None:
    facts = dockerfile_facts(f"FROM python:3.11\n{lines}\n", "Dockerfile")
    assert facts is not None
    found = code_of(facts, ".", repository(), frozenset())
    assert (found.context, found.root) == (context, root)
