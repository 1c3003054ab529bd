"""Templates of a repository are data: they reach nothing of Python."""

from pathlib import Path

import pytest
from tests.unit.fleets import fleet, plan_of, service

from slimbake.adopt.add import FOLDER, Skeleton
from slimbake.render.generated import TemplateFault, laid_out

FLEET = fleet(service("api", command=("python", "-m", "api")))
ESCAPES = {
    "classes": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "globals of a macro": "{% macro m() %}{% endmacro %}{{ m.__globals__ }}",
    "globals of a method": "{{ plan.target.__func__.__globals__ }}",
    "globals of jinja": "{{ cycler.__init__.__globals__.os.popen('touch escaped').read() }}",
    "by an attribute's name": "{{ plan|attr('__class__')|attr('__base__') }}",
    "by an item": "{{ plan['__init__']['__globals__'] }}",
    "by a format": "{{ '{0.__class__.__init__.__globals__}'.format(plan) }}",
    "by a format of a mapping": "{{ '{a.__class__.__mro__}'.format_map({'a': plan}) }}",
    "by a filter": "{{ [plan]|map(attribute='__class__')|list|first|attr('__subclasses__') }}",
    "a frame": "{{ (joiner.__init__.__code__) }}",
    "the loader": "{{ self._TemplateReference__context.environment.loader }}",
    "a generator": "{% set g = (plan.targets|map('upper')) %}{{ g.gi_frame.f_globals }}",
    "a file elsewhere": "{% include '/etc/passwd' %}",
    "a file above": "{% include '../../etc/passwd' %}",
    "a range without end": "{% for i in range(10**9) %}x{% endfor %}",
}


@pytest.mark.parametrize("where", ["templates/service.Dockerfile.j2", "docker-bake.hcl.j2"])
@pytest.mark.parametrize("escape", ESCAPES)
def test_a_template_reaches_nothing_of_python(
    escape: str, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / where).parent.mkdir(exist_ok=True)
    (tmp_path / where).write_text(f"# x\n{ESCAPES[escape]}\n")
    with pytest.raises(TemplateFault):
        list(laid_out(plan_of(FLEET), tmp_path))
    assert not (tmp_path / "escaped").exists()


@pytest.mark.parametrize("escape", ["classes", "globals of jinja", "by a format"])
def test_a_template_of_add_is_safe(
    escape: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "templates" / FOLDER / "any"
    folder.mkdir(parents=True)
    (folder / "smoke.py.j2").write_text(ESCAPES[escape].replace("plan", "name"))
    with pytest.raises(Exception, match="unsafe"):
        Skeleton("api", "api", "stdlib").files(tmp_path, 80)
    assert not (tmp_path / "escaped").exists()
