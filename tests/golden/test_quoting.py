"""What is quoted arrives: many generated values at once through the real `bake --print`, which
costs 60 ms to start.
"""

import json
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.golden.conftest import Print
from tests.golden.printed import printed
from tests.golden.texts import texts

from slimbake.config.model import Manifest, Secret, ServiceEntry
from slimbake.fleet import resolve
from slimbake.plan import plan
from slimbake.render import BAKE_FILE, quoting
from slimbake.render.generated import laid_out

through_buildx = settings(
    max_examples=6,
    # to shrink an example would start docker a thousand times
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def service_with(values: list[str]) -> ServiceEntry:
    """One service that carries each value as a variable, an argument, a label, a folder, a file and
    a secret's name.
    """
    numbered = [(str(number), value) for number, value in enumerate(values)]
    return ServiceEntry(
        name="subject",
        context="context",
        command=tuple(values),
        env=tuple((f"V{number}", value) for number, value in numbered),
        args=tuple((f"A{number}", value) for number, value in numbered),
        labels=tuple((f"com.example.{number}", value) for number, value in numbered),
        contexts=tuple((f"c{number}", f"folder {value}") for number, value in numbered),
        secrets=tuple(Secret(f"s{number}", "env", f"V{number}") for number, _ in numbered),
        smoke=f"smoke {values[0]}.py" if values else "smoke.py",
    )


@through_buildx
@given(values=st.lists(texts, min_size=20, max_size=60))
def test_buildx_has_values_unchanged(values: list[str], tmp_path: Path, print_bake: Print) -> None:
    written = Manifest(
        file=tmp_path / "services.yaml",
        project="p",
        python="3.11",
        services=(service_with(values),),
    )
    decided = plan(resolve(written))
    files = {file.path: file.text for file in laid_out(decided, tmp_path)}
    (tmp_path / BAKE_FILE).write_text(files[BAKE_FILE], "utf-8")
    result = print_bake(tmp_path, ["default", "smoke"], {})
    assert result == printed(decided, ["default", "smoke"], {})
    assert [result["target"]["subject"]["args"][f"A{i}"] for i in range(len(values))] == values


@through_buildx
@given(
    names=st.lists(
        st.from_regex(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", fullmatch=True),
        min_size=5,
        max_size=30,
        unique=True,
    )
)
def test_any_allowed_name_is_a_target(names: list[str], tmp_path: Path, print_bake: Print) -> None:
    # `default` is a group of every bake file; the manifest refuses it as a name.
    services = tuple(ServiceEntry(name=f"{name}x", context="context") for name in names)
    file = tmp_path / "services.yaml"
    decided = plan(resolve(Manifest(file=file, project="p", python="3.11", services=services)))
    files = {file.path: file.text for file in laid_out(decided, tmp_path)}
    (tmp_path / BAKE_FILE).write_text(files[BAKE_FILE], "utf-8")
    assert print_bake(tmp_path, [], {}) == printed(decided, ["default"], {})


@given(arguments=st.lists(texts))
def test_an_exec_form_is_one_line_of_json_that_a_dockerfile_keeps(arguments: list[str]) -> None:
    form = quoting.exec_form(arguments)
    assert json.loads(form) == arguments
    assert form.isascii() and form.isprintable()
    assert form.startswith("[") and form.endswith("]")  # no backslash at the end continues the line


@given(text=texts)
def test_a_quoted_text_stays_on_one_line_between_its_quotes(text: str) -> None:
    assert re.fullmatch(r'"(?:[^"\\\x00-\x1f]|\\["\\nrt]|\\u[0-9a-f]{4})*"', quoting.hcl(text))


@pytest.mark.parametrize(
    ("secret", "expected"),
    [
        (Secret("token", "env", "TOKEN"), "id=token,env=TOKEN"),
        (Secret("netrc", "file", "secrets/netrc"), "id=netrc,src=secrets/netrc"),
        (Secret("odd", "file", 'a, "b".txt'), 'id=odd,"src=a, ""b"".txt"'),
    ],
)
def test_a_secret_is_fields_of_csv(secret: Secret, expected: str) -> None:
    assert quoting.secret(secret) == expected
