"""Templates of a repository that never end, or take all memory: each command ends soon and names the line."""

from __future__ import annotations

import resource
import signal
import time
from pathlib import Path

import pytest
from tests.abuse.conftest import Slimbake
from tests.unit.fleets import fleet, plan_of, service

from slimbake.adopt.add import FOLDER, Skeleton
from slimbake.errors import UsageError
from slimbake.host import limits
from slimbake.render.generated import TemplateFault, laid_out

FLEET = fleet(service("api", command=("python", "-m", "api")))
LOOP = "{% for a in range(99999) %}"
END = "{% endfor %}"
TIME = {
    "two ranges": f"{LOOP}{LOOP}{END}{END}",
    "three ranges": f"{LOOP}{LOOP}{LOOP}{END}{END}{END}",
    "a range in an expression": f"{LOOP}{{{{ range(99999)|sum }}}}{END}",
    "a sum of sums": f"{LOOP}{{{{ range(99999)|map('string')|join|length }}}}{END}",
    "sorting": f"{LOOP}{{{{ range(99999)|sort(reverse=true)|first }}}}{END}",
    "grouping": f"{LOOP}{{{{ range(99999)|groupby('real')|length }}}}{END}",
    "a macro that calls itself twice": (
        "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}"
    ),
    "a power": "{{ (9 ** (9 ** 9)) % 7 }}",
    "a power in a loop": f"{LOOP}{{% set x = 7 ** 99999 %}}{END}",
    "tests in a loop": f"{LOOP}{{{{ range(99999)|select('odd')|list|length }}}}{END}",
    "words": f"{LOOP}{{{{ ('a ' * (a + 999999))|wordcount }}}}{END}",
    "replacing": f"{LOOP}{{{{ ('a' * (a + 999999))|replace('a', 'b')|length }}}}{END}",
    "wrapping": f"{LOOP}{{{{ ('a ' * (a + 999999))|wordwrap(3)|length }}}}{END}",
}
MEMORY = {
    "a width": "{{ '%2000000000d' % 1 }}",
    "a width of a filter": "{{ 'a'|center(2000000000) }}",
    "a width of a format": "{{ '{:2000000000}'.format(1) }}",
    "a width of a number's format": "{{ '%.2000000000f' % 1 }}",
    "a filter's format": "{{ '%2000000000s'|format('a') }}",
    "a text so often": "{{ 'a' * 10 ** 10 }}",
    "a list so often": "{{ ([1] * 10 ** 10)|length }}",
    "a text that doubles": (
        "{% set x = namespace(a='a') %}{% for i in range(60) %}{% set x.a = x.a ~ x.a %}{% endfor %}"
    ),
    "a list that doubles": (
        "{% set x = namespace(a=[1]) %}{% for i in range(60) %}{% set x.a = x.a + x.a %}{% endfor %}"
    ),
    "an indentation": "{{ 'a\n'|indent(2000000000, true) }}",
    "padding": "{{ 'a'.ljust(2000000000) }}",
    "zeros": "{{ '1'.zfill(2000000000) }}",
    "tabs": "{{ ('\t' * 99).expandtabs(99999999) }}",
    "joining": "{{ range(99999)|join('a' * 99999) }}",
    "lists in lists": f"{{{{ range(99999)|batch(1, 2)|list }}}}{LOOP}{{{{ range(99999)|list }}}}{END}",
}
ENDLESS = {**TIME, **MEMORY}


@pytest.fixture(autouse=True)
def _little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SECONDS", 0.3)
    monkeypatch.setattr(limits, "MEMORY", 200 << 20)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", ENDLESS)
def test_a_template_without_an_end_is_named(kind: str, tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates/service.Dockerfile.j2").write_text(f"# x\n{ENDLESS[kind]}\n")
    data = resource.getrlimit(resource.RLIMIT_DATA)
    started = time.process_time()
    with pytest.raises(TemplateFault, match=r"service.Dockerfile.j2|would have"):
        list(laid_out(plan_of(FLEET), tmp_path))
    assert time.process_time() - started < 20  # seconds
    assert resource.getrlimit(resource.RLIMIT_DATA) == data
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0, 0)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", ["two ranges", "a width", "a text that doubles"])
def test_a_template_of_add_without_an_end_is_named(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "templates" / FOLDER / "any"
    folder.mkdir(parents=True)
    (folder / "smoke.py.j2").write_text(ENDLESS[kind])
    with pytest.raises(UsageError, match=r"smoke\.py\.j2"):
        Skeleton("api", "api", "stdlib").files(tmp_path, 80)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", ["two ranges", "a width"])
def test_a_command_names_a_template_without_an_end(
    kind: str, slimbake: Slimbake, tmp_path: Path
) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "api").mkdir()
    (tmp_path / "templates/service.Dockerfile.j2").write_text(ENDLESS[kind])
    (tmp_path / "services.yaml").write_text(
        'project: toys\npython: "3.11"\nservices: {api: {context: api, command: [a]}}\n'
    )
    ended = slimbake("generate", at=tmp_path)
    assert ended.code == 2 and "service.Dockerfile.j2" in ended.stderr
