"""Stages and commands of Dockerfiles that become steps of `build`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from slimbake.adopt.init import InitRequest, init
from slimbake.config import manifest
from slimbake.config.model import BuildStep
from slimbake.console import QUIET

WEB = "FROM node:22-slim AS web\nWORKDIR /web\n"
PYTHON = "FROM python:3.11\nWORKDIR /srv\nCOPY . .\n"
END = 'CMD ["python", "-m", "shop"]\n'
SETTINGS = (
    "from pathlib import Path\nimport os\nBASE_DIR = Path(__file__).resolve().parent.parent\n"
)


def adopted(
    root: Path, dockerfile: str, files: Mapping[str, str] = {}
) -> tuple[tuple[BuildStep, ...], str]:
    """The steps of the one service, and what `init` said."""
    every = {
        "shop/__init__.py": "",
        "shop/__main__.py": "",
        "ui/package.json": "{}",
        "ui/src/a.js": "",
        "manage.py": 'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")\n',
        "Dockerfile": dockerfile,
        **files,
    }
    for name, text in every.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    said = init(root / "services.yaml", InitRequest(), QUIET)
    [service] = manifest(root / "services.yaml").services
    assert not service.dockerfile
    return service.build, "\n".join(said)


@pytest.mark.parametrize(
    ("stage", "copied", "step"),
    [
        (
            "COPY ui/package*.json ./\nRUN npm ci\nCOPY ui/ .\nRUN npm run build\n",
            "COPY --from=web /web/dist ./ui/dist\n",
            BuildStep(
                run=("sh", "-c", "npm ci && npm run build"),
                outputs=("dist",),
                image="node:22-slim",
                context="ui",
                below="ui",
                network=True,
            ),
        ),
        (
            "COPY ui .\nENV MODE=fast PATH=/web/bin:$PATH\nRUN npm run build --out=/web/dist\n",
            "COPY --from=web /web/dist /srv/static/ui\n",
            BuildStep(
                run=(
                    "sh",
                    "-c",
                    "cd /build/ui && npm run build --out=/build/ui/dist && mkdir -p"
                    " /build/static/ui && cp -R /build/ui/dist/. /build/static/ui",
                ),
                outputs=("static/ui",),
                image="node:22-slim",
                context=".",
                below=".",
                network=True,
                env=(("MODE", "fast"),),
            ),
        ),
        (
            "COPY ui .\nRUN npm run build\n",
            "COPY --from=web /web/a.js /web/b.css ui/\n",
            BuildStep(
                run=("npm", "run", "build"),
                outputs=("a.js", "b.css"),
                image="node:22-slim",
                context="ui",
                below="ui",
                network=True,
            ),
        ),
        (
            "COPY ui .\nRUN cd src; npm run build\nWORKDIR src\nRUN ls | wc\n",
            "COPY --from=web /out/dist ui/dist/\n",
            BuildStep(
                run=(
                    "sh",
                    "-c",
                    "(cd src; npm run build) && cd /build/src && (ls | wc) && mkdir -p /build/dist"
                    " && cp -R /out/dist/. /build/dist",
                ),
                outputs=("dist",),
                image="node:22-slim",
                context="ui",
                below="ui",
                network=True,
            ),
        ),
    ],
)
def test_a_stage_becomes_a_step_whose_outputs_are_what_the_image_takes(
    tmp_path: Path, stage: str, copied: str, step: BuildStep
) -> None:
    found, said = adopted(tmp_path, f"{WEB}{stage}{PYTHON}{copied}{END}")
    assert found == (step,)
    assert "not carried over" not in said


@pytest.mark.parametrize(
    ("stage", "copied", "why"),
    [
        ("COPY ui .\nRUN make\n", "COPY --from=web /web/x /usr/bin/x\n", "goes to /usr/bin/x"),
        (
            "COPY ui .\nRUN make\n",
            "COPY --from=web /web /srv\n",
            "goes to /srv, which is all of /srv",
        ),
        ("COPY ui .\n", "COPY --from=web /web/x x\n", "it runs nothing"),
        (
            "COPY ui .\nRUN --mount=type=secret,id=npm make\n",
            "COPY --from=web /web/x x\n",
            "a RUN mounts a secret",
        ),
        ("COPY ui .\nRUN <<EOF\nmake\nEOF\n", "COPY --from=web /web/x x\n", "a here-document"),
        (
            "COPY ui .\nCOPY --from=other /a .\nRUN make\n",
            "COPY --from=web /web/x x\n",
            "it takes files of another stage",
        ),
    ],
)
def test_a_stage_that_no_step_stands_for_is_reported_with_the_reason(
    tmp_path: Path, stage: str, copied: str, why: str
) -> None:
    found, said = adopted(tmp_path, f"{WEB}{stage}{PYTHON}{copied}{END}")
    assert found == ()
    line = f"{WEB}{stage}{PYTHON}".count("\n") + 1
    assert f"Dockerfile:{line}: the stage 'web', on node:22-slim, builds files" in said
    assert why in said


@pytest.mark.parametrize(
    ("settings", "env", "output"),
    [
        (f'{SETTINGS}STATIC_ROOT = BASE_DIR / "assets"\n', "", "assets"),
        (f'{SETTINGS}STATIC_ROOT = os.path.join(BASE_DIR, "a", "b")\n', "", "a/b"),
        (f'{SETTINGS}STATIC_ROOT = str(BASE_DIR.joinpath("c"))\n', "", "c"),
        (f'{SETTINGS}STATIC_ROOT = Path(__file__).parents[0] / "s"\n', "", "shop/s"),
        (
            "import os\nHERE = os.path.dirname(os.path.abspath(__file__))\n"
            'STATIC_ROOT = os.path.join(os.path.dirname(HERE), "old")\n',
            "",
            "old",
        ),
        ('STATIC_ROOT = os.environ.get("AT", "/nowhere")\n', "ENV AT=/srv/there\n", "there"),
        ('STATIC_ROOT = env("AT", default="here")\n', "", "here"),
        ("from .base import *\n", "", "from-base"),
    ],
)
def test_collectstatic_puts_out_what_the_settings_say(
    tmp_path: Path, settings: str, env: str, output: str
) -> None:
    dockerfile = f"{PYTHON}{env}RUN SECRET_KEY=x python manage.py collectstatic --noinput\n{END}"
    base = f'{SETTINGS}STATIC_ROOT = BASE_DIR / "from-base"\nA = os.environ["SECRET_KEY"]\n'
    [step], said = adopted(
        tmp_path, dockerfile, {"shop/settings.py": settings, "shop/base.py": base}
    )
    assert (step.run, step.outputs) == (
        ("python", "manage.py", "collectstatic", "--noinput"),
        (output,),
    )
    given = {"AT": "/app/there"} if env else {}
    assert dict(step.env) == {"SECRET_KEY": "x", **given}
    assert not (step.image or step.network)
    assert "RUN " not in said


@pytest.mark.parametrize(
    ("settings", "manage"),
    [
        ('STATIC_ROOT = "/var/www"\n', "manage.py"),
        ("STATIC_ROOT = found()\n", "manage.py"),
        ("STATIC_ROOT = STATIC_ROOT\n", "manage.py"),
        ("STATIC_ROOT = (\n", "manage.py"),
        ('STATIC_ROOT = "static"\n', "/opt/manage.py"),
    ],
)
def test_collectstatic_without_a_place_in_the_code_is_reported(
    tmp_path: Path, settings: str, manage: str
) -> None:
    dockerfile = f"{PYTHON}RUN python {manage} collectstatic\n{END}"
    found, said = adopted(tmp_path, dockerfile, {"shop/settings.py": settings})
    assert found == ()
    assert f"Dockerfile:4: RUN python {manage} collectstatic\n" in said


@pytest.mark.parametrize("gettext", [True, False])
def test_translations_are_compiled_where_the_image_has_gettext(
    tmp_path: Path, gettext: bool
) -> None:
    install = "RUN apt-get install -y gettext\n" if gettext else "\n"
    dockerfile = f"{PYTHON}{install}RUN python manage.py compilemessages\n{END}"
    files = {f"shop/locale/{each}/LC_MESSAGES/django.po": "" for each in ("de", "fr")}
    found, said = adopted(tmp_path, dockerfile, files)
    if gettext:
        assert [step.outputs for step in found] == [("shop/locale",)]
    assert bool(found) == gettext == ("RUN " not in said)


def test_steps_stand_in_the_order_of_their_lines(tmp_path: Path) -> None:
    settings = f'{SETTINGS}STATIC_ROOT = BASE_DIR / "static"\n'
    dockerfile = (
        f"{WEB}COPY ui .\nRUN make\n{PYTHON}COPY --from=web /web/dist ui/dist\n"
        f"RUN python manage.py collectstatic\n{END}"
    )
    found, _ = adopted(tmp_path, dockerfile, {"shop/settings.py": settings})
    assert [step.image for step in found] == ["node:22-slim", ""]


AUTHORITY = (
    f"{PYTHON}COPY certs /usr/local/share/ca-certificates/\nRUN update-ca-certificates\n"
    f"ENV REQUESTS_CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt\n{END}"
)


def test_the_certificates_that_an_image_trusts_are_joined_to_debian_s(tmp_path: Path) -> None:
    files = {"certs/corp.crt": "CORP\n", "certs/readme.txt": ""}
    [step], said = adopted(tmp_path, AUTHORITY, files)
    [service] = manifest(tmp_path / "services.yaml").services
    there = "/app/certs/ca-certificates.crt"
    assert dict(service.env) == {"REQUESTS_CA_BUNDLE": there, "SSL_CERT_FILE": there}
    assert step.outputs == ("certs/ca-certificates.crt",)
    assert "not carried over" not in said
    assert "Dockerfile:5 has certs/corp.crt trusted" in (tmp_path / "services.yaml").read_text()
    debian = tmp_path / "debian.crt"
    debian.write_text("DEBIAN")
    of_debian = "/etc/ssl/certs/ca-certificates.crt"
    words = [str(debian) if word == of_debian else word for word in step.run]
    subprocess.run([sys.executable, *words[1:]], check=True, cwd=tmp_path)
    assert (tmp_path / step.outputs[0]).read_text() == "DEBIAN\nCORP\n"


def test_a_certificate_that_is_not_with_the_code_is_a_note(tmp_path: Path) -> None:
    text = AUTHORITY.replace("COPY . .", "COPY code .")
    files = {"code/shop/__main__.py": "", "code/shop/__init__.py": "", "certs/corp.crt": "CORP\n"}
    steps, said = adopted(tmp_path, text, files)
    assert not steps
    assert "Dockerfile:5: certs/corp.crt: trusted by `update-ca-certificates`" in said
    assert "code does not have this file: move it there" in said
    assert "not needed" not in said


def test_a_certificate_for_the_build_alone_is_no_part_of_the_image(tmp_path: Path) -> None:
    build, rest = AUTHORITY.replace(PYTHON, "").split("ENV")
    text = f"FROM python:3.11 AS made\n{build}{PYTHON}COPY --from=made /x /y\nENV{rest}"
    steps, said = adopted(tmp_path, text, {"certs/corp.crt": "CORP\n"})
    assert not steps
    assert "certs" not in said.partition("not needed any more")[0]
