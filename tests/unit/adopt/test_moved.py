"""What a Dockerfile copies, checks and is given, as the entry of a service has it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from slimbake.adopt.init import InitRequest, init, needless, portless, start
from slimbake.adopt.model import Draft, Note
from slimbake.config import manifest
from slimbake.console import QUIET

CODE = {"web/app.py": "x = 1\n", "web/requirements.txt": "flask\n"}
HEAD = "FROM python:3.11\nWORKDIR /srv/web\nCOPY web .\nRUN pip install -r requirements.txt\n"
START = "CMD python app.py\n"
COMPOSE = "services:\n  web: {build: {context: ., dockerfile: web/Dockerfile}}\n"


def adopted(
    root: Path, dockerfile: str, files: Mapping[str, str] = {}, compose: str = COMPOSE
) -> list[Draft]:
    """The drafts of a repository with this Dockerfile."""
    every = {**CODE, "compose.yaml": compose, "web/Dockerfile": dockerfile, **files}
    for name, text in every.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return list(start(root / "services.yaml", InitRequest()).drafts)


def notes(draft: Draft) -> list[tuple[str, str]]:
    return [(each.what, each.advice) for each in draft.notes]


def test_a_variable_names_a_folder_where_slimbake_has_it(tmp_path: Path) -> None:
    text = (
        f"{HEAD}COPY web/model /models/one\nENV MODEL=/models/one/m.bin DATA=/models/two\n{START}"
    )
    [web] = adopted(tmp_path, text, {"web/model/m.bin": ""})
    assert web.entry["env"] == {"MODEL": "/app/model/m.bin", "DATA": "/models/two"}


@pytest.mark.parametrize(
    ("copied", "check", "words"),
    [
        ("", '["python", "/srv/web/health.py"]', ["python", "/app/health.py"]),
        ("COPY web/live /usr/local/bin/live\n", "live -q", ["python", "/app/live", "-q"]),
        ("COPY web/ping /usr/bin/ping\n", "ping", None),  # a shell's
        ("COPY docker/live /usr/local/bin/live\n", "live", None),  # of another folder
        ("", '["python", "-m", "health"]', ["python", "-m", "health"]),
    ],
)
def test_a_check_that_is_a_file_of_the_repository(
    tmp_path: Path, copied: str, check: str, words: list[str] | None
) -> None:
    files = {
        "web/health.py": "",
        "web/live": "#!/usr/bin/env python3\n",
        "docker/live": "#!/usr/bin/env python3\n",
        "web/ping": "#!/bin/sh\n",
    }
    [web] = adopted(tmp_path, f"{HEAD}{copied}HEALTHCHECK CMD {check}\n{START}", files)
    assert web.entry.get("healthcheck", {}).get("test") == words
    assert (words is None) == any(what.startswith("HEALTHCHECK") for what, _ in notes(web))


def test_a_made_folder_that_the_compose_file_has_in_memory_needs_no_word(tmp_path: Path) -> None:
    text = f"{HEAD}RUN mkdir -p /var/cache/web && chown 1000 /var/cache/web\n{START}"
    compose = "services:\n  web:\n    build: {context: ., dockerfile: web/Dockerfile}\n"
    [web] = adopted(tmp_path, text, compose=f"{compose}    tmpfs: [/var/cache/web]\n")
    assert not notes(web)


def test_edits_of_what_only_builds_read_are_not_needed(tmp_path: Path) -> None:
    edit = "RUN sed -i 's/# nb_NO/nb_NO/' /etc/locale.gen\n"
    [web] = adopted(tmp_path, f"{HEAD}{edit}{START}")
    assert [step.words[0] for step in web.needless] == ["sed"]
    assert not notes(web)


@pytest.mark.parametrize(
    ("read", "started"),
    [
        ("os.environ.get('KEY_FILE')", None),
        ("open(os.environ['KEY_FILE'])", {"env": {"KEY_FILE": "/dev/null"}}),
    ],
)
def test_a_variable_that_names_a_file_is_no_secret_itself(
    tmp_path: Path, read: str, started: dict[str, dict[str, str]] | None
) -> None:
    given = {"KEY_FILE": "/run/secrets/key", "CA_KEY_FILE": "/srv/web/ca.pem"}
    compose = f"{COMPOSE.rstrip()[:-1]}, environment: {json.dumps(given)}}}\n"
    files = {"web/app.py": f"import os\n{read}\n", "web/ca.pem": ""}
    [web] = adopted(tmp_path, f"{HEAD}{START}", files, compose)
    assert web.entry["env"] == {"CA_KEY_FILE": "/app/ca.pem"}
    assert web.entry.get("start") == started
    assert [what for what, _ in notes(web)][:1] == ["KEY_FILE names the file /run/secrets/key"]
    assert not any("`.env`" in advice for _, advice in notes(web))
    assert dict(web.left_env) == (started["env"] if started else {})


@pytest.mark.parametrize("words", ["xargs strip -s", "xargs -0 -n 8 -r strip", "xargs rm -f"])
def test_a_pipe_that_strips_or_removes_what_it_finds_is_not_needed(
    tmp_path: Path, words: str
) -> None:
    [web] = adopted(tmp_path, f"{HEAD}RUN find /usr -name '*.so' | {words} || true\n{START}")
    assert not notes(web)
    assert [step.words[0] for step in web.needless] == [f"find /usr -name *.so | {words}", "true"]


def test_a_pipe_that_installs_keeps_its_note(tmp_path: Path) -> None:
    [web] = adopted(tmp_path, f"{HEAD}RUN cat more.txt | xargs -n 1 pip install\n{START}")
    assert [what for what, _ in notes(web)] == ["RUN cat more.txt | xargs -n 1 pip install"]


PATHS = "FROM python:3.11\nENV PYTHONPATH=/opt/deps:/opt/code\nCOPY web/requirements.txt /\n"
INTO = "RUN pip install --target=/opt/deps -r /requirements.txt\n"


@pytest.mark.parametrize(
    ("copied", "start", "kept"),
    [
        ("COPY web/app /opt/code/search\n", 'CMD ["uvicorn", "search.api:app"]', True),
        ("COPY web/app /srv/search\n", "CMD uvicorn --app-dir /srv search.api:app", True),
        ("COPY web/app /opt/code/app\n", 'CMD ["uvicorn", "app.api:app"]', False),
        (
            "COPY web/pages /opt/code/files\nCOPY web/app /opt/code/app\n",
            "CMD uvicorn app:a",
            False,
        ),
    ],
)
def test_a_package_that_a_copy_renames_keeps_its_dockerfile(
    tmp_path: Path, copied: str, start: str, kept: bool
) -> None:
    files = {"web/app/__init__.py": "", "web/app/api.py": "", "web/pages/a.html": ""}
    [web] = adopted(tmp_path, f"{PATHS}{INTO}{copied}WORKDIR /tmp\n{start}\n", files)
    assert ("dockerfile" in web.entry) == kept
    renamed = [advice for what, advice in notes(web) if "web/app is copied under another" in what]
    assert len(renamed) == kept
    assert all("until then the service keeps its Dockerfile" in each for each in renamed)
    if not kept:
        assert web.entry["env"]["PYTHONPATH"] in {"/app:/app/web", "/app"}
        assert "WORKDIR /tmp" in {what for what, _ in notes(web)}


@pytest.mark.parametrize("name", ["search", "app"])
def test_without_a_workdir_pythonpath_says_where_packages_are(tmp_path: Path, name: str) -> None:
    text = f"FROM python:3.11\nCOPY web/app /opt/code/{name}\nENV PYTHONPATH=/opt/code\n"
    files = {"web/app/__init__.py": "", "web/app/api.py": ""}
    [web] = adopted(tmp_path, f'{text}CMD ["uvicorn", "{name}.api:app"]\n', files)
    assert ("dockerfile" in web.entry) == (name == "search")
    if name == "app":
        assert (web.entry["context"], web.entry["env"]) == ("web", {"PYTHONPATH": "/app"})


def test_a_folder_of_modules_elsewhere_stays_in_pythonpath(tmp_path: Path) -> None:
    text = f"{HEAD}COPY web/lib/part /opt/lib/part\nENV PYTHONPATH=/opt/lib:/usr/lib/x:/srv/web/a\n"
    [web] = adopted(tmp_path, f"{text}{START}", {"web/lib/part/__init__.py": "", "web/a/b.py": ""})
    assert web.entry["env"] == {"PYTHONPATH": "/app:/app/lib:/usr/lib/x:/app/a"}


@pytest.mark.parametrize(("user", "said"), [("nobody", True), ("app", False), ("1000", False)])
def test_a_user_of_the_base_image_gets_a_line(tmp_path: Path, user: str, said: bool) -> None:
    [web] = adopted(tmp_path, f"{HEAD}RUN useradd app\nUSER {user}\n{START}")
    assert (f"USER {user}" in {what for what, _ in notes(web)}) == said


def test_files_that_are_removed_and_folders_that_are_written_to_get_a_line(tmp_path: Path) -> None:
    clean = (
        "RUN python app.py && rm raw/all.csv requirements.txt /tmp/x && chown -R 1000 data raw .\n"
    )
    files = {"web/raw/all.csv": "", "web/data/a": "", "web/cache/b": ""}
    volume = "VOLUME /srv/cache\nRUN mkdir -p /srv/cache/x\n"
    [web] = adopted(tmp_path, f"{HEAD}COPY web .\n{clean}{volume}{START}", files)
    said = dict(notes(web))
    assert "web/raw/all.csv: list it in web/.dockerignore" in said.pop(
        "RUN rm /srv/web/raw/all.csv"
    )
    assert said.keys() == {
        "RUN python app.py",
        "RUN chown /srv/web/data",
        "RUN chown /srv/web/raw",
        "RUN mkdir /srv/cache/x",
    }
    assert "rm" not in {step.words[0] for step in web.needless}


@pytest.mark.parametrize(
    ("words", "folders"),
    [
        ("web /var/spool/web", []),
        ("web: data", ["data"]),
        ("-R --from=root web:web cache data", ["cache", "data"]),
        ("--reference=app.py data", ["data"]),
        ("web /srv/web/cache", ["cache"]),
        ("web /srv/web/kept", []),
    ],
)
def test_the_owner_that_chown_gives_is_no_folder(
    tmp_path: Path, words: str, folders: list[str]
) -> None:
    files = {"web/web/__init__.py": "", "web/data/a": "", "web/cache/b": "", "web/app.py": ""}
    made = f"RUN useradd -u 1500 web && mkdir -p /var/spool/web && chown {words}\n"
    compose = f"{COMPOSE[:-2]}, volumes: ['spool:/var/spool/web', 'kept:/srv/web/kept']}}\nvolumes: {{spool: , kept: }}\n"
    [web] = adopted(tmp_path, f"{HEAD}{made}{START}", files, compose)
    assert [what for what, _ in notes(web)] == [f"RUN chown /srv/web/{each}" for each in folders]


def test_a_path_that_moves_in_a_script_that_stays_one_is_a_note(tmp_path: Path) -> None:
    script = (
        "#!/bin/sh\n# cd /srv/web\ncd /srv/web\nwhile ! ready; do sleep 1; done\n. /srv/web/more.sh\n"
        'exec alembic -c "/etc/web/x.ini" upgrade $@ | cat\n'
    )
    files = {
        "web/run.sh": script,
        "web/more.sh": "X=/etc/web/x.ini\n",
        "web/x.ini": "",
        "web/app.py": "",
    }
    text = f'{HEAD}COPY web/x.ini /etc/web/x.ini\nENTRYPOINT ["./run.sh"]\nCMD ["head"]\n'
    [web] = adopted(tmp_path, text, files)
    assert web.entry["entrypoint"] == ["sh", "/app/run.sh"]
    assert [(str(each.place), *pair) for each, pair in zip(web.notes, notes(web), strict=True)] == [
        (
            "web/run.sh:3",
            "the script names /srv/web",
            "slimbake's image has it at /app: change the path in web/run.sh:3, web/run.sh:5",
        ),
        (
            "web/run.sh:6",
            "the script names /etc/web/x.ini",
            "slimbake's image has it at /app/x.ini: change the path in web/run.sh:6, web/more.sh:1",
        ),
    ]


@pytest.mark.parametrize(
    ("script", "command"),
    [
        ('set -- gunicorn "$@"\nexec "$@"\n', ["gunicorn", "a:b", "-v"]),
        ('shift\nexec gunicorn "$@"\n', ["gunicorn", "-v"]),
    ],
)
def test_a_script_that_changes_its_arguments_has_those_of_cmd(
    tmp_path: Path, script: str, command: list[str]
) -> None:
    text = f'{HEAD}ENTRYPOINT ["./run.sh"]\nCMD ["a:b", "-v"]\n'
    [web] = adopted(tmp_path, text, {"web/run.sh": f"#!/bin/sh\n{script}"})
    assert web.entry["command"] == command


def test_what_is_installed_leaves_folders_of_its_image_where_they_are(tmp_path: Path) -> None:
    """A member of a workspace is installed; the image has nothing of its folder but a model."""
    project = '[project]\nname = "web"\nversion = "1"\n'
    text = (
        "FROM python:3.11\nCOPY . /src\nWORKDIR /src\nRUN uv sync --package web\nWORKDIR /\n"
        "COPY web/model /models/one\nENV MODEL=/models/one\nCMD python -m app\n"
    )
    files = {"web/pyproject.toml": project, "web/model/m.bin": ""}
    root = {"pyproject.toml": '[tool.uv.workspace]\nmembers = ["web"]\n'}
    [web] = adopted(tmp_path, text, {**files, **root})
    assert (web.entry["context"], web.entry["env"]) == ("web", {"MODEL": "/app/model"})


def test_a_file_that_is_elsewhere_or_nowhere_is_a_note(tmp_path: Path) -> None:
    files = {
        "web/app.py": "a = open('VERSION')\nb = open('/etc/web/x.ini')\n",
        "VERSION": "1\n",
        "web/x.ini": "",
        "OTHER": "",
        "fonts.list": "",
    }
    text = (
        f"{HEAD}COPY VERSION OTHER ./\nCOPY web/x.ini /etc/web/x.ini\nCOPY fonts.list /tmp/\n"
        f"RUN python fonts.py /tmp/fonts.list\n{START}"
    )
    [web] = adopted(tmp_path, text, files)
    (what, advice), (unnamed, why), (other, its), *_ = notes(web)
    assert (what, unnamed, other) == (
        "VERSION is copied to /srv/web/VERSION",
        "OTHER is copied to /srv/web/OTHER",
        "web/x.ini is copied to /etc/web/x.ini",
    )
    assert why == (
        "it is not in web, so it is not in slimbake's image: if the service reads it, move it there"
    )
    assert not [each for each, _ in notes(web) if each.startswith("fonts.list")], "a step reads it"
    assert advice.startswith("it is not in web, and web/app.py:1 names it: ")
    assert its == "slimbake's image has it at /app/x.ini: change the path in web/app.py:2"


def test_what_a_step_makes_and_the_image_takes_is_said(tmp_path: Path) -> None:
    text = (
        "FROM python:3.11 AS site\nCOPY web/x.proto /\nRUN mkdir /site /data\n"
        "RUN /env/bin/python make.py --to=/site\nRUN cp /x.proto /y.proto\n"
        f"{HEAD}COPY --from=site /site /opt/site\nCOPY --from=site /y.proto /x.proto /app/\n"
        "COPY --from=site /data /data\nCOPY --from=site /site .\nENV SITE=/opt/site/html\n"
    )
    [web] = adopted(tmp_path, f"{text}{START}")
    (copied, why), (what, advice) = notes(web)
    assert what == "RUN /env/bin/python make.py --to=/site"
    assert advice.startswith("web/Dockerfile:10 copies /site of it to /opt/site: slimbake's image")
    assert "writes below /app: let it make site, name that under `outputs`, and write" in advice
    assert "`env: {SITE: /app/site/html}`" in advice
    assert copied == "COPY --from=site /y.proto /app/y.proto"
    assert why.startswith("steps of that stage make it: slimbake's image lacks these files")
    assert "a package, whose [build-system] requires" in why


def test_what_a_stage_makes_beside_its_code_is_said_where_the_repository_lacks_it(
    tmp_path: Path,
) -> None:
    text = (
        "FROM python:3.11 AS made\nWORKDIR /src\nCOPY web .\nRUN python make.py\n"
        f"{HEAD}COPY --from=made /src/app.py /src/out.txt /app/\n{START}"
    )
    [web] = adopted(tmp_path, text)
    assert [what for what, _ in notes(web)] == [
        "COPY --from=made /src/out.txt /app/out.txt",
        "RUN python make.py",
    ]


def test_a_django_step_of_an_earlier_stage_has_the_paths_of_the_image(tmp_path: Path) -> None:
    settings = 'import os\nSTATIC_ROOT = os.environ.get("STATIC_ROOT", "x")\n'
    manage = 'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")\n'
    files = {"web/manage.py": manage, "web/shop/settings.py": settings, "web/shop/__init__.py": ""}
    text = (
        "FROM python:3.11 AS made\nWORKDIR /src\nCOPY web web\nWORKDIR /src/web\n"
        "RUN pip install -r requirements.txt\n"
        "RUN STATIC_ROOT=/src/static python manage.py collectstatic --noinput\n"
        "FROM python:3.11\nWORKDIR /app\nCOPY --from=made /src/web /app\n"
        f"COPY --from=made /src/static /app/static\n{START}"
    )
    [web] = adopted(tmp_path, text, files)
    assert web.notes == ()
    [step] = web.entry["build"]
    assert step["run"] == ["python", "manage.py", "collectstatic", "--noinput"]
    assert (step["outputs"], step["env"]) == (["static"], {"STATIC_ROOT": "/app/static"})


@pytest.mark.parametrize(
    ("check", "call"),
    [
        ("curl -fs localhost:80/ok || exit 1", "r.urlopen('http://localhost:80/ok')"),
        ("wget -qO- http://127.0.0.1/ok", "r.urlopen('http://127.0.0.1/ok')"),
        (
            "curl -f http://localhost:${PORT}/ok",
            "r.urlopen(os.path.expandvars('http://localhost:${PORT}/ok'))",
        ),
    ],
)
def test_a_fetch_is_a_request_of_python(tmp_path: Path, check: str, call: str) -> None:
    [web] = adopted(tmp_path, f"{HEAD}RUN apt-get install curl\nHEALTHCHECK CMD {check}\n{START}")
    python, option, code = web.entry["healthcheck"]["test"]
    assert (python, option, code.rpartition("; ")[2]) == ("python", "-c", call)
    compile(code, "check", "exec")
    assert web.notes == (), "curl was for the check alone"


def test_a_check_without_a_timeout_has_that_of_docker(tmp_path: Path) -> None:
    """slimbake's own default is 5 s."""
    [web] = adopted(tmp_path, f"{HEAD}HEALTHCHECK --retries=4 CMD curl localhost\n{START}")
    code = "import urllib.request as r; r.urlopen('http://localhost')"
    test = ["python", "-c", code]
    assert web.entry["healthcheck"] == {"test": test, "timeout": "30s", "retries": 4}
    [web] = adopted(tmp_path, f"{HEAD}HEALTHCHECK --timeout=2s CMD curl localhost\n{START}")
    assert web.entry["healthcheck"] == {"test": test, "timeout": "2s"}


def test_a_compose_file_s_check_has_the_times_of_the_image_that_it_leaves_open(
    tmp_path: Path,
) -> None:
    check = "HEALTHCHECK --timeout=2s --interval=7s CMD curl localhost\n"
    compose = (
        "services:\n  web:\n    build: {context: ., dockerfile: web/Dockerfile}\n"
        "    healthcheck: {test: [CMD, python, -m, ping], interval: 9s}\n"
    )
    [web] = adopted(tmp_path, f"{HEAD}{check}{START}", compose=compose)
    test = ["python", "-m", "ping"]
    assert web.entry["healthcheck"] == {"test": test, "timeout": "2s", "interval": "9s"}
    [web] = adopted(tmp_path, f"{HEAD}{START}", compose=compose)
    assert web.entry["healthcheck"] == {"test": test, "timeout": "30s", "interval": "9s"}


def test_a_fetch_with_a_value_that_only_a_shell_knows_is_a_note(tmp_path: Path) -> None:
    [web] = adopted(tmp_path, f"{HEAD}HEALTHCHECK CMD curl localhost:${{PORT:-$X}}/ok\n{START}")
    assert "healthcheck" not in web.entry
    assert [each.what for each in web.notes] == ["HEALTHCHECK curl localhost:${PORT:-$X}/ok"]


def test_constraints_that_a_requirements_file_has_are_no_note(tmp_path: Path) -> None:
    limits = {"limits.txt": "flask<4\n", "web/requirements.txt": "-c ../limits.txt\nflask\n"}
    text = HEAD.replace("RUN", "COPY limits.txt /limits.txt\nRUN").replace(
        "-r req", "-c /limits.txt -r req"
    )
    edits = "RUN sed -i s#../##g requirements.txt\n"
    [web] = adopted(tmp_path, text.replace("RUN", f"{edits}RUN") + START, limits)
    assert (web.entry["requirements"], web.notes) == ("requirements.txt", ())
    (tmp_path / "web/requirements.txt").write_text("flask\n")
    [web] = start(tmp_path / "services.yaml", InitRequest()).drafts
    assert [each.what for each in web.notes] == ["the constraints of limits.txt"]


def test_a_build_argument_by_a_variable_is_a_note(tmp_path: Path) -> None:
    compose = (
        "services:\n  web:\n    build:\n      context: .\n      dockerfile: web/Dockerfile\n"
        '      args: {SHA: "${SHA:-abc}", PORT: "80"}\n'
    )
    [web] = adopted(tmp_path, f"{HEAD}ARG SHA PORT\nENV RELEASE=$SHA\n{START}", compose=compose)
    assert web.entry["env"] == {"RELEASE": "abc"}
    [(what, _)] = notes(web)
    assert what == "build arguments by variables: SHA=abc"


def test_a_proxy_is_not_started_alone(tmp_path: Path) -> None:
    compose = (
        f"{COMPOSE}  proxy:\n    build: {{context: ., dockerfile: proxy/Dockerfile}}\n"
        "    depends_on: [web]\n"
    )
    files = {"proxy/Dockerfile": "FROM nginx\nEXPOSE 80\n"}
    drafts = adopted(tmp_path, HEAD + START, files, compose)
    assert {each.name: each.entry.get("start") for each in drafts} == {"web": None, "proxy": "none"}


@pytest.mark.parametrize("compose", [COMPOSE, "services: {}\n"])
def test_an_image_that_shows_its_help_waits_for_arguments(tmp_path: Path, compose: str) -> None:
    text = f'{HEAD}ENTRYPOINT ["python", "app.py"]\nCMD ["--help"]\n'
    [web] = adopted(tmp_path, text, compose=compose)
    assert web.entry["entrypoint"] == ["python", "app.py"]
    assert (web.entry.get("command"), web.entry["start"]) == (None, ["--help"])


def test_a_job_asks_for_no_health_check(tmp_path: Path) -> None:
    compose = (
        f"{COMPOSE}    depends_on: {{job: {{condition: service_completed_successfully}}}}\n"
        "  job:\n    build: {context: ., dockerfile: web/Dockerfile}\n    command: python job.py\n"
    ).replace(
        "web: {build: {context: ., dockerfile: web/Dockerfile}}",
        "web:\n    build: {context: ., dockerfile: web/Dockerfile}",
    )
    text = f"{HEAD}HEALTHCHECK CMD curl localhost/ok\n{START}"
    drafts = {each.name: each for each in adopted(tmp_path, text, {"web/job.py": ""}, compose)}
    assert not any(isinstance(n, Note) and "HEALTH" in n.what for n in drafts["job"].notes)


def test_what_is_copied_elsewhere_and_nothing_names_is_a_note(tmp_path: Path) -> None:
    files = {"web/conf/app.yaml": "", "web/named/a.yaml": "", "web/lib/one.py": ""}
    text = (
        f"{HEAD}COPY web/conf /etc/web/conf\nCOPY web/named /etc/named\nENV NAMED=/etc/named/a.yaml\n"
        f"COPY web/lib /opt/lib\nCOPY <<EOF /etc/a.conf\nx\nEOF\n{START}"
    )
    [web] = adopted(tmp_path, text, files)
    assert [what for what, _ in notes(web)] == [
        "web/conf is copied to /etc/web/conf",
        "a here-document is copied to /etc/a.conf",
    ]
    assert notes(web)[0][1] == (
        "slimbake's image has it at /app/conf: where the service reads it, change the path"
    )


def test_what_a_fetch_does_beside_its_request_is_a_note(tmp_path: Path) -> None:
    check = "HEALTHCHECK CMD curl -fs -H 'A: b' http://localhost:80/ok | grep -q ok\n"
    [web] = adopted(tmp_path, f"{HEAD}{check}{START}")
    assert "headers={'A': 'b'}" in web.entry["healthcheck"]["test"][2]
    [note] = web.notes
    assert str(note).startswith("web/Dockerfile:5: HEALTHCHECK: `| grep -q ok`\n  init's check")


def test_a_token_in_a_check_is_a_note(tmp_path: Path) -> None:
    check = "HEALTHCHECK CMD curl -H 'X-Token: b' http://localhost:80/ok\n"
    [web] = adopted(tmp_path, f"{HEAD}{check}{START}")
    [(what, _)] = notes(web)
    assert what == "X-Token of the HEALTHCHECK looks like a secret, and is in the image"


def test_a_fetch_that_python_cannot_do_is_a_note_that_says_why(tmp_path: Path) -> None:
    check = "HEALTHCHECK CMD curl -fk https://localhost/ok\n"
    [web] = adopted(tmp_path, f"{HEAD}{check}{START}")
    assert "healthcheck" not in web.entry
    [(_, advice)] = notes(web)
    assert advice.startswith("Python's request has no `-k`: the service has no check then; ")
    [web] = adopted(tmp_path, f"{HEAD}EXPOSE 80\n{check}{START}")
    assert ": the default check connects to the port; " in notes(web)[-1][1]


ENTRY = '#!/bin/sh\nif [ {} ]; then\n  exec python -m jobs\nfi\nexec "$@"\n'


def test_cron_as_an_argument_of_an_entrypoint_is_no_daemon(tmp_path: Path) -> None:
    compose = (
        f"{COMPOSE}  cron:\n    build: {{context: ., dockerfile: web/Dockerfile}}\n"
        "    command: cron\n"
    )
    text = f'{HEAD}ENTRYPOINT ["./entry.sh"]\nCMD exec python app.py --x $$HOME\n'
    web, cron = adopted(tmp_path, text, {"web/entry.sh": ENTRY.format('"$1" = cron')}, compose)
    assert cron.entry["command"] == ["python", "-m", "jobs"]
    assert "dockerfile" not in cron.entry
    assert web.entry["shell"] is True, "only a shell knows $$"
    unknown = ENTRY.format('-d "/data/$1"')
    web, cron = adopted(tmp_path, text, {"web/entry.sh": unknown}, compose)
    assert (cron.entry["entrypoint"], cron.entry["command"]) == (["sh", "/app/entry.sh"], ["cron"])


CHOICE = (
    '#!/bin/sh\nset -e\n[ -n "$KEY" ] || exit 1\nmkdir -p /tmp/x\ncase "$1" in\n'
    "  web) exec python app.py ;;\n"
    "  migrate)\n    python manage.py migrate\n    exec python manage.py seed\n    ;;\n"
    "  clean) exec python manage.py clean ;;\nesac\n"
)
JOB = "\n    build: {context: ., dockerfile: web/Dockerfile}\n"


@pytest.mark.parametrize(
    "said", ["depends_on: {job: {condition: service_completed_successfully}}", "init: false"]
)
def test_a_job_keeps_all_that_its_script_does(tmp_path: Path, said: str) -> None:
    compose = (
        f"services:\n  web:{JOB}    command: web\n    {said}\n"
        f'  job:{JOB}    command: [migrate]\n    restart: "no"\n'
        f"  clean:{JOB}    command: [clean]\n    restart: no\n"
    )
    text = f'{HEAD}ENTRYPOINT ["./entry.sh"]\n'
    files = {"web/entry.sh": CHOICE, "web/manage.py": "import django\n"}
    web, job, clean = adopted(tmp_path, text, files, compose)
    assert (job.entry["entrypoint"], job.entry["command"]) == (["sh", "/app/entry.sh"], ["migrate"])
    assert job.entry["shell"] is True
    assert (
        job.comments["shell"] == "web/entry.sh:8: `python manage.py migrate` is a part of the job"
    )
    assert [each.module for each in job.served] == ["manage"]
    assert web.entry["command"] == ["python", "app.py"]
    assert not [what for what, _ in notes(web) if "chooses" in what], "others choose the rest"
    assert clean.entry["command"] == ["python", "manage.py", "clean"], "one program alone"
    assert not [what for what, _ in (*notes(job), *notes(clean)) if "restart" in what]


STARTS = "start: {with: [db]}"


@pytest.mark.parametrize(
    ("needs", "start", "noted"),
    [
        ("db: {condition: service_healthy}", {"with": ["db"]}, False),
        ("proxy: {condition: service_started}", {"with": ["proxy"]}, False),
        ("tool: {condition: service_started}", "none", False),
        ("tool: {condition: service_started}, db: {condition: service_started}", "none", True),
        ("other: {condition: service_started}, db: {condition: service_started}", "none", False),
    ],
)
def test_a_job_runs_beside_what_it_depends_on_where_all_of_it_is_ready_made(
    tmp_path: Path, needs: str, start: object, noted: bool
) -> None:
    waits = "depends_on: {job: {condition: service_completed_successfully}}"
    compose = (
        f"x-app: &app\n  build: {{context: ., dockerfile: web/Dockerfile}}\n  environment: {{A: b}}\n"
        f"services:\n  job:\n    <<: *app\n    command: python job.py\n    depends_on: {{{needs}}}\n"
        f"  web:{JOB}    {waits}\n  tool:{JOB}  other:{JOB}    depends_on: [db]\n"
        "  db: {image: 'postgres:17'}\n  proxy: {image: nginx, depends_on: [db]}\n"
    )
    drafts = adopted(tmp_path, f"{HEAD}{START}", {"web/job.py": ""}, compose)
    assert drafts[0].entry["start"] == start
    assert "without a port: web, tool" in "".join(portless(drafts)), "a job asks for no port"
    found = [advice for what, advice in notes(drafts[0]) if what == "depends_on: db"]
    assert [each.startswith(f"`{STARTS}` in place") for each in found] == [True] * noted


def test_a_job_keeps_both_commands_of_a_text_and_a_server_its_last_alone(tmp_path: Path) -> None:
    compose = (
        f"services:\n  job:{JOB}    command: sh -c 'python a.py && python b.py'\n"
        f"    restart: 'no'\n  web:{JOB}    command: sh -c 'python a.py && python app.py'\n"
        f"    restart: 'no'\n    ports: ['80']\n"
    )
    job, web = adopted(tmp_path, HEAD, {"web/a.py": "", "web/b.py": ""}, compose)
    assert job.entry["command"] == ["sh", "-c", "python a.py && exec python b.py"]
    assert web.entry["command"] == ["python", "app.py"]


def test_a_variable_for_development_wins_in_containers_alone(tmp_path: Path) -> None:
    override = "services:\n  web:\n    environment: {LEVEL: DEBUG, AT: /srv/web/app.py}\n"
    compose = f"services:\n  web:{JOB}    env_file: web.env\n    environment: {{LEVEL: INFO}}\n"
    files = {"compose.override.yaml": override, "web.env": "LEVEL=WARNING\n"}
    [web] = adopted(tmp_path, f"{HEAD}{START}", files, compose)
    assert web.entry["env"] == {"LEVEL": "INFO"}
    assert web.entry["environment"] == {"LEVEL": "DEBUG", "AT": "/app/app.py"}


def test_a_time_zone_is_a_variable_unless_one_is_there(tmp_path: Path) -> None:
    text = f"{HEAD}RUN ln -sf /usr/share/zoneinfo/Asia/Tokyo /etc/localtime\n"
    [web] = adopted(tmp_path, f"{text}{START}")
    assert web.entry["env"] == {"TZ": "Asia/Tokyo"}
    assert web.comments["env"] == "TZ: web/Dockerfile:5 sets the time zone"
    [web] = adopted(tmp_path, f"{text}ENV TZ=Europe/Rome\n{START}")
    assert web.entry["env"] == {"TZ": "Europe/Rome"}
    assert "env" not in web.comments


def test_packages_that_are_not_needed_and_versions_that_are_left_out_are_named(
    tmp_path: Path,
) -> None:
    text = (
        f"{HEAD}RUN apt-get install -y curl wget=1.2 git tzdata tini ffmpeg=7:*\n"
        f'HEALTHCHECK CMD curl -f localhost:80/ok\nENTRYPOINT ["tini", "--"]\n{START}'
    )
    [web] = adopted(tmp_path, text)
    assert web.entry["system"] == ["ffmpeg", "tini"]
    assert [" ".join(each.words) for each in web.needless] == [
        "apt-get install tzdata",
        "apt-get install curl",
        "apt-get install wget",
    ]
    (git, _), (what, advice) = notes(web)
    assert (git, what) == ("git", "the version of ffmpeg=7:*")
    assert advice == "images have the version of Debian trixie, and `slimbake lock` pins it"


def test_a_variable_that_the_command_has_and_something_sets_is_a_note(tmp_path: Path) -> None:
    script = "#!/bin/sh\nset -e\nexec celery worker -l ${LEVEL:-INFO} -c ${N:-2} -n ${ONE:-x}\n"
    compose = f"{COMPOSE[:-2]}, env_file: [a.env], environment: {{N: '3'}}}}\n"
    files = {"web/start.sh": script, "a.env": "LEVEL=DEBUG\n"}
    [web] = adopted(tmp_path, f'{HEAD}CMD ["./start.sh"]\n', files, compose)
    assert web.entry["command"][2:] == ["-l", "INFO", "-c", "3", "-n", "x"]
    [note] = web.notes
    assert str(note).startswith("web/start.sh:3: `command` has the values of LEVEL, N\n")


def test_a_check_with_a_variable_has_it_from_its_container(tmp_path: Path) -> None:
    check = "HEALTHCHECK CMD celery inspect ping -d celery@$HOSTNAME || exit 1\n"
    [web] = adopted(tmp_path, f"{HEAD}{check}{START}")
    python, option, code = web.entry["healthcheck"]["test"]
    assert (python, option, web.notes) == ("python", "-c", ())
    assert code == (
        "import os; os.execvp('celery',"
        " ['celery', 'inspect', 'ping', '-d', os.path.expandvars('celery@$HOSTNAME')])"
    )
    others = ("A=$B python x.py", "test -f $READY", "cat $READY", "python x.py $OPTIONS")
    for shell in (check.replace("$HOSTNAME", "${NAME:-$X}"), *others):
        text = shell if shell.startswith("HEALTH") else f"HEALTHCHECK CMD {shell}\n"
        [web] = adopted(tmp_path, f"{HEAD}{text}{START}")
        [(_, advice)] = notes(web)
        assert advice.startswith("it needs a shell: the service has no check then; ")
    [web] = adopted(tmp_path, f"{HEAD}HEALTHCHECK CMD test -f $READY\nCMD app | tee log\n")
    assert web.entry["healthcheck"]["test"] == ["sh", "-c", "test -f $READY"]


@pytest.mark.parametrize("code", ["", "d = '/opt/models/one'\n"])
def test_a_model_outside_of_the_context_is_named_as_weights(tmp_path: Path, code: str) -> None:
    files = {"models/one/m.safetensors": "", "web/app.py": code}
    copied = "COPY models/one /opt/models/one\nENV MODEL_DIR=/opt/models/one\n"
    [web] = adopted(tmp_path, f"{HEAD}{copied}{START}", files)
    [(what, advice)] = notes(web)
    assert what == "models/one is copied to /opt/models/one"
    assert advice.startswith("it is not in web, ")
    assert advice.endswith(
        ": `weights: {path: models/one}` has it at /weights, so change the path to that"
    )


def test_a_variable_with_the_path_of_what_is_not_in_the_image_is_a_note(tmp_path: Path) -> None:
    copied = "COPY conf/a.ini /etc/a.ini\nENV CONF=/etc/a.ini\n"
    [web] = adopted(tmp_path, f"{HEAD}{copied}{START}", {"conf/a.ini": ""})
    assert [what for what, _ in notes(web)] == ["conf/a.ini is copied to /etc/a.ini"]


def test_a_folder_that_a_shared_dockerfile_makes_is_a_note_of_who_names_it(tmp_path: Path) -> None:
    compose = (
        f"{COMPOSE}  beat:\n    build: {{context: ., dockerfile: web/Dockerfile}}\n"
        "    command: python beat.py --into /var/lib/beat/x\n"
    )
    made = "RUN mkdir -p /var/lib/beat /var/lib/all && chown app /var/lib/beat /var/lib/all\n"
    web, beat = adopted(tmp_path, f"{HEAD}{made}{START}", {}, compose)
    assert [what for what, _ in notes(web)] == ["RUN mkdir /var/lib/all"]
    assert [what for what, _ in notes(beat)] == [
        "RUN mkdir /var/lib/beat",
        "RUN mkdir /var/lib/all",
    ]


def test_a_script_is_found_in_a_folder_of_path(tmp_path: Path) -> None:
    text = f'{HEAD}COPY scripts /scripts\nENV PATH="/scripts:$PATH"\nCMD ["run.sh"]\n'
    [web] = adopted(tmp_path, text, {"scripts/run.sh": "#!/bin/sh\nexec gunicorn app:app\n"})
    assert web.entry["command"] == ["gunicorn", "app:app"]


def test_the_working_directory_of_a_compose_file_is_where_the_command_starts(
    tmp_path: Path,
) -> None:
    compose = COMPOSE.replace("{build", "{working_dir: inner, build")
    [web] = adopted(tmp_path, f"{HEAD}{START}", {"web/inner/app.py": ""}, compose)
    assert web.entry["workdir"] == "/app/inner"


def test_a_project_that_is_built_and_installed_by_its_name_is_itself(tmp_path: Path) -> None:
    text = (
        "FROM python:3.12 AS build\nWORKDIR /src\nCOPY web .\nRUN pip wheel -w /wheels .\n"
        "FROM debian\nWORKDIR /srv\n"
        "RUN --mount=from=build,source=/wheels,target=/w pip install -f /w 'My_App[pg]' httpx\n"
        "CMD my-app\n"
    )
    project = (
        '[project]\nname = "my-app"\n[project.scripts]\nmy-app = "a:b"\n'
        '[project.optional-dependencies]\npg = ["psycopg"]\n'
    )
    [web] = adopted(tmp_path, text, {"web/pyproject.toml": project})
    assert web.entry["requirements"] == ["./web[pg]", "httpx"]
    assert web.python is not None
    assert web.python.value == "3.12"


def test_built_packages_and_constraints_from_elsewhere_are_notes(tmp_path: Path) -> None:
    text = f"{HEAD}COPY wheels /wheels\nRUN pip install -f /wheels x -c https://host/c.txt\n{START}"
    [web] = adopted(tmp_path, text, {"wheels/x-1-py3-none-any.whl": ""})
    assert [what for what, _ in notes(web)][:2] == [
        "the constraints of https://host/c.txt",
        "the built packages wheels",
    ]
    assert notes(web)[0][1].startswith("put the file into the repository, and a line `-c FILE`")


@pytest.mark.parametrize(("script", "noted"), [("#!/bin/sh\nx\n", 0), ("#!/bin/sh\r\nx\r\n", 1)])
def test_line_ends_of_windows_are_removed_where_there_are_such(
    tmp_path: Path, script: str, noted: int
) -> None:
    text = f"{HEAD}COPY web/run.sh /run.sh\nRUN sed -i 's/\\r$//g' /run.sh\n{START}"
    (tmp_path / "web").mkdir()
    (tmp_path / "web/run.sh").write_bytes(script.encode())
    [web] = adopted(tmp_path, text)
    assert sum(what.startswith("RUN sed -i") for what, _ in notes(web)) == noted


def test_sources_that_keep_their_folders_stay_in_them(tmp_path: Path) -> None:
    text = (
        "FROM python:3.11\nWORKDIR /srv\nCOPY --parents ./web/ libs/./a/*.py ./\n"
        'ENV A=/srv/a/x.py\nCMD ["gunicorn", "web.app:app"]\n'
    )
    [web] = adopted(tmp_path, text, {"libs/a/x.py": "", "libs/a/b/y.py": ""})
    assert (web.entry["context"], web.entry["env"]["A"]) == (".", "/app/libs/a/x.py")
    assert web.entry["env"]["PYTHONPATH"] == "/app:/app/libs"


def test_a_scheduler_that_a_shell_starts_keeps_the_dockerfile(tmp_path: Path) -> None:
    [web] = adopted(tmp_path, f"{HEAD}CMD cron && tail -f /var/log/cron.log\n")
    assert web.entry["dockerfile"] == "web/Dockerfile"
    assert notes(web)[0][0] == "`cron` starts jobs as root, by a table"


def test_a_folder_that_is_spread_over_the_file_system_is_a_note(tmp_path: Path) -> None:
    text = (
        f"{HEAD}COPY web/rootfs/ /\nCOPY other/ /\nCOPY req /\nRUN pip install -r /a.txt\n{START}"
    )
    files = {"web/rootfs/etc/x": "", "other/etc/y": "", "req/a.txt": "idna\n", "req/b.txt": ""}
    [web] = adopted(tmp_path, text, files)
    assert [(what, advice.split(":")[0]) for what, advice in notes(web)] == [
        ("web/rootfs is copied to /", "slimbake's image has its files at /app/rootfs"),
        ("other is copied to /", "slimbake's image does not have its files"),
    ]


def test_constraints_that_a_step_exports_of_a_project_are_of_its_lock(tmp_path: Path) -> None:
    text = (
        "FROM python:3.11\nWORKDIR /srv\nCOPY web .\nRUN poetry export -o c.txt && poetry build\n"
        "RUN pip install dist/*.whl -c c.txt\nCMD python app.py\n"
    )
    project = '[tool.poetry]\nname = "web"\n[tool.poetry.dependencies]\npython = "^3.11"\n'
    [web] = adopted(tmp_path, text, {"web/pyproject.toml": project})
    assert (notes(web), web.entry["requirements"]) == ([], "pyproject.toml")


def test_services_with_other_builds_of_torch_say_so(tmp_path: Path) -> None:
    compose = (
        "services:\n"
        "  one: {build: {context: web, args: {T: cpu}}}\n"
        "  two: {build: {context: web, args: {T: cu121}}}\n"
    )
    index = "https://download.pytorch.org/whl/$T"
    text = f"FROM python:3.11\nARG T\nRUN pip install torch flask --index-url {index}\n{START}"
    for name, content in {"compose.yaml": compose, "web/Dockerfile": text, **CODE}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    whole = [note.what for note in start(tmp_path / "services.yaml", InitRequest()).notes]
    assert (
        "one, two do not all share a base: they have different builds of torch (one: cpu, two: cu121)"
        in whole
    )


def test_a_program_in_a_here_document_is_a_note_where_the_command_names_it(tmp_path: Path) -> None:
    text = f'{HEAD}COPY <<EOT run.py\nprint()\nEOT\nCMD ["python", "run.py"]\n'
    [web] = adopted(tmp_path, text)
    assert notes(web) == [
        (
            "a here-document is copied to /srv/web/run.py",
            "it is not in slimbake's image, and the command names it: write it as a file",
        )
    ]


def test_settings_of_pip_are_those_of_the_machine(tmp_path: Path) -> None:
    [web] = adopted(tmp_path, f"{HEAD}COPY web/pip.conf /etc/\n{START}", {"web/pip.conf": ""})
    [(what, advice)] = notes(web)
    assert what == "web/pip.conf is copied to /etc/pip.conf"
    assert advice.startswith("slimbake installs with the settings of its machine")


def test_a_check_that_is_a_script_is_what_the_script_does(tmp_path: Path) -> None:
    script = "#!/bin/sh\nset -e\n# asks\ncurl -f http://localhost:80/up || exit 1\n"
    text = f'{HEAD}COPY web/up.sh /usr/local/bin/up\nHEALTHCHECK CMD ["up"]\n{START}'
    [web] = adopted(tmp_path, text, {"web/up.sh": script})
    code = "import urllib.request as r; r.urlopen('http://localhost:80/up')"
    assert web.entry["healthcheck"]["test"] == ["python", "-c", code]
    [web] = adopted(tmp_path, text, {"web/up.sh": "#!/bin/sh\ntest -f /x\nps | grep app\n"})
    assert "healthcheck" not in web.entry
    assert "HEALTHCHECK up" in [what for what, _ in notes(web)]


def test_a_tmpfs_that_an_image_cannot_have_does_not_cost_the_service(tmp_path: Path) -> None:
    compose = COMPOSE.replace("{build", "{tmpfs: [/usr/tmp, /var/x/, /run/x], build")
    [web] = adopted(tmp_path, f"{HEAD}{START}", {}, compose)
    assert web.entry["tmpfs"] == ["/var/x", "/run/x"]
    assert [what for what, _ in notes(web)] == ["the tmpfs at /usr/tmp"]


VOLUMES = "volumes: {media: {}, new: {}}\n"


def test_mounts_below_the_code_stay_where_they_hide_none_of_it(tmp_path: Path) -> None:
    mounts = (
        "{tmpfs: [/srv/web/spool, /srv/web/app.py],"
        " volumes: ['media:/srv/web/media', 'new:/srv/web/in/new'], build"
    )
    compose = COMPOSE.replace("{build", mounts) + VOLUMES
    code = {"web/app.py": "open('media/x'), open('spool/x')\n", "web/in/new/x.csv": ""}
    [web] = adopted(
        tmp_path, f"{HEAD}RUN mkdir media spool && chown 7 spool\n{START}", code, compose
    )
    assert web.entry["volumes"] == {"media": "/app/media"}
    assert web.entry["tmpfs"] == ["/app/spool"]
    said = [what for what, _ in notes(web)]
    assert said == ["the volume at /srv/web/in/new", "the tmpfs at /srv/web/app.py"]


def test_mounts_below_the_code_go_where_a_step_has_files(tmp_path: Path) -> None:
    text = (
        "FROM node:22 AS ui\nWORKDIR /ui\nCOPY web/ui .\nRUN npm run build\n"
        f"{HEAD}COPY --from=ui /ui/dist /srv/web/ui/dist\n{START}"
    )
    mounts = "{volumes: ['new:/srv/web/ui/dist', 'media:/srv/web/ui/media'], build"
    compose = COMPOSE.replace("{build", mounts) + VOLUMES
    [web] = adopted(tmp_path, text, {"web/ui/package.json": "{}"}, compose)
    assert [step["outputs"] for step in web.entry["build"]] == [["dist"]]
    assert web.entry["volumes"] == {"media": "/app/ui/media"}


@pytest.mark.parametrize(
    ("code", "command", "noted"),
    [
        ("open('logs/x', 'w')\n", "python app.py", ["RUN mkdir logs", "RUN mkdir /srv/web/spool"]),
        ("x = 1\n", "python app.py --to=./logs/x", ["RUN mkdir logs", "RUN mkdir /srv/web/spool"]),
        ("x = 1\n", "python app.py", ["RUN mkdir /srv/web/spool"]),
        ("open('static/x')\n", "python app.py", ["RUN mkdir /srv/web/spool"]),
    ],
)
def test_a_folder_beside_the_code_that_the_service_writes_to_is_a_note(
    tmp_path: Path, code: str, command: str, noted: list[str]
) -> None:
    made = "RUN mkdir -p logs static /srv/web/spool && chown 1000 spool\n"
    files = {"web/app.py": code, "web/static/x": ""}
    [web] = adopted(tmp_path, f"{HEAD}{made}CMD {command}\n", files)
    assert [what for what, _ in notes(web)] == noted
    assert all(advice.startswith("/app is read-only") for _, advice in notes(web))


def test_a_shell_that_stays_activates_no_virtual_environment(tmp_path: Path) -> None:
    shell = "source /venv/bin/activate && gunicorn -b :$PORT app:app"
    [web] = adopted(tmp_path, f'{HEAD}CMD ["bash", "-c", "{shell}"]\n')
    assert web.entry["command"] == ["bash", "-c", "exec gunicorn -b :$PORT app:app"]
    files = {"web/run.sh": f"#!/bin/bash\n. '/venv/bin/activate'\n{shell[29:]}\n"}
    [web] = adopted(tmp_path, f'{HEAD}CMD ["./run.sh"]\n', files)
    assert ("the script names /venv/bin/activate") in [what for what, _ in notes(web)]


def test_a_project_in_vendor_is_one_of_the_repository(tmp_path: Path) -> None:
    files = {"vendor/lib/pyproject.toml": '[project]\nname = "lib"\nversion = "1"\n'}
    text = f"{HEAD}COPY vendor vendor\nRUN pip install ./vendor/lib\n{START}"
    [web] = adopted(tmp_path, text, files)
    assert web.entry["requirements"] == ["web/requirements.txt", "./vendor/lib"]


def test_variables_that_change_what_python_does_stay(tmp_path: Path) -> None:
    said = "PYTHONHASHSEED=0 PYTHONFAULTHANDLER=1 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1"
    [web] = adopted(tmp_path, f"{HEAD}ENV {said} PATH=/opt/venv/bin:$PATH\n{START}")
    assert web.entry["env"] == {"PYTHONHASHSEED": "0", "PYTHONFAULTHANDLER": "1"}
    assert not web.notes


def test_scripts_in_a_folder_of_path_are_a_note_but_for_the_one_that_starts(tmp_path: Path) -> None:
    text = f'{HEAD}ENV PATH="/srv/web/bin:$PATH"\nCMD ["serve"]\n'
    serve = {"web/bin/serve": "#!/bin/sh\nexec python app.py\n", "web/bin/x.txt": "x\n"}
    [web] = adopted(tmp_path, text, serve)
    assert not web.notes
    [web] = adopted(tmp_path, text, {**serve, "web/bin/report": "#!/usr/bin/env python\n"})
    assert [(each.place.line, *said) for each, said in zip(web.notes, notes(web), strict=True)] == [
        (
            5,
            "PATH has /srv/web/bin, with report",
            "slimbake's images have a PATH of their own: call them by their path, such as"
            " /app/bin/report, or write PATH under `env`, with"
            " /opt/slimbake/bin:/usr/local/bin:/usr/bin at its end",
        )
    ]


def test_what_pip_installs_without_the_rest_or_early_is_a_note(tmp_path: Path) -> None:
    install = "RUN pip install --pre --no-deps 'x[a]>=1' ./lib && pip install --no-deps /dist/*.whl"
    rest = "RUN pip install --no-deps . && pip install --no-index --no-deps -f /dist y\n"
    [web] = adopted(tmp_path, f"{HEAD}{install}\n{rest}{START}")
    said = dict(notes(web))
    assert [what for what in said if what.startswith("--")] == ["--no-deps of x[a]>=1", "--pre"]
    assert said["--pre"] == "name a requirements file that has it as a line"
    assert said["--no-deps of x[a]>=1"].startswith("slimbake installs what these require, too")


@pytest.mark.parametrize(
    ("made", "line"),
    [
        ("conda env create -f environment.yml", 3),
        ("conda create -y -n of python=3.12", 4),
    ],
)
def test_conda_s_version_of_python_is_the_service_s(tmp_path: Path, made: str, line: int) -> None:
    text = f"FROM continuumio/miniconda3\nWORKDIR /srv/web\nCOPY web .\nRUN {made}\n{START}"
    listed = "name: of\ndependencies:\n- python = 3.12.1\n- pip\n"
    [web] = adopted(tmp_path, text, {"web/environment.yml": listed})
    assert web.python is not None
    assert (web.python.value, web.python.place.line) == ("3.12", line)


def test_constraints_of_a_service_without_a_requirements_file(tmp_path: Path) -> None:
    text = "FROM python:3.11\nWORKDIR /srv/web\nCOPY web .\nRUN pip install -c limits.txt flask\n"
    [web] = adopted(tmp_path, text + START, {"web/limits.txt": "flask<4\n"})
    assert web.entry["requirements"] == ["flask"]
    assert notes(web) == [
        (
            "the constraints of web/limits.txt",
            "put what is required into a requirements file, with a line `-c FILE`, and name that"
            " under `requirements`",
        )
    ]


def test_what_is_not_needed_has_the_words_of_its_own_stage(tmp_path: Path) -> None:
    text = (
        "FROM python:3.11 AS made\nCOPY web/requirements.txt .\n"
        "RUN pip install --prefix /install -r requirements.txt && find /install -name tests\n"
        f"RUN objcopy /install/lib/x.so\n{HEAD}COPY --from=made /install /usr/local\n{START}"
    )
    [web] = adopted(tmp_path, text)
    decided = start(tmp_path / "services.yaml", InitRequest())
    assert "  web/Dockerfile:3: find /install -name tests" in needless(decided.drafts)
    assert notes(web)[0][0] == "RUN objcopy /install/lib/x.so"


@pytest.mark.parametrize(
    ("step", "home"),
    [
        ("useradd -u 1001 --create-home web", "/home/app"),
        ("useradd -rms /bin/sh -u 1001 web", "/home/app"),
        ("useradd -m web", "/home/nonroot"),
        ("adduser --disabled-password --uid 1001 web", "/home/app"),
        ("adduser --system --uid 1001 --home /srv/home web", "/home/app"),
        ("useradd -u 1001 web", ""),
        ("adduser --uid 1001 --no-create-home web", ""),
        ("adduser -DH -u 1001 web", ""),
        ("adduser --system --uid 1001 web", ""),
        ("useradd -u 1001 web && useradd -m -u 1002 other", ""),
    ],
)
def test_a_home_that_the_service_could_write_to_is_in_memory(
    step: str, home: str, tmp_path: Path
) -> None:
    [web] = adopted(tmp_path, f"{HEAD}RUN {step}\nUSER web\n{START}")
    assert web.entry.get("tmpfs", []) == [home] * bool(home)
    assert web.notes == ()


def test_a_home_that_is_a_volume_is_no_tmpfs(tmp_path: Path) -> None:
    made = f"{HEAD}RUN useradd -m -u 1001 web\nUSER 1001\n"
    [web] = adopted(tmp_path, f"{made}VOLUME /home/app\n{START}")
    assert "tmpfs" not in web.entry
    [web] = adopted(tmp_path, f"{made}VOLUME /home/app/.cache\n{START}")
    assert web.entry["tmpfs"] == ["/home/app"]
    init(tmp_path / "services.yaml", InitRequest(), QUIET)
    assert manifest(tmp_path / "services.yaml").services[0].tmpfs == ("/home/app",)


KEEPS = '#!/bin/bash\nexport N="$(nproc)"\nexec "$@"\n'  # a script that only a shell runs
BASH = 'SHELL ["/bin/bash", "-o", "pipefail", "-c"]\n'


@pytest.mark.parametrize(
    ("end", "command"),
    [
        ('CMD gunicorn "web:create_app()"', ["gunicorn", "web:create_app()"]),
        ('CMD ["bash", "-ec", "exec /venv/bin/gunicorn web:app"]', ["gunicorn", "web:app"]),
        ("CMD python3 app.py", ["python", "app.py"]),
        ("CMD a | b", ["bash", "-o", "pipefail", "-c", "a | b"]),
        ("CMD a -b :$PORT", ["bash", "-o", "pipefail", "-c", "exec a -b :$PORT"]),
        ('CMD ["sh", "-c", "cd x && a $Y"]', ["sh", "-c", "cd x && exec a $Y"]),
    ],
)
def test_a_command_beside_a_script_that_stays_has_a_shell_only_where_it_needs_one(
    tmp_path: Path, end: str, command: list[str]
) -> None:
    text = f'{HEAD}{BASH}ENTRYPOINT ["./run.sh"]\n{end}\n'
    [web] = adopted(tmp_path, text, {"web/run.sh": KEEPS})
    assert (web.entry["entrypoint"], web.entry["command"]) == (["bash", "/app/run.sh"], command)
    assert notes(web) == []
    assert web.comments["shell"] == "web/run.sh:2: a shell fills in $(nproc)"


@pytest.mark.parametrize(
    ("script", "end"),
    [
        (KEEPS, 'ENTRYPOINT ["./run.sh"]\nCMD gunicorn "app:create_app()"'),
        (KEEPS, 'ENTRYPOINT ["./run.sh"]\nCMD date && gunicorn -b :$PORT "app:create_app()"'),
        (f"{KEEPS[:-10]}exec gunicorn $OPTS -b 0:80 'app:create_app()'\n", 'CMD ["./run.sh"]'),
    ],
)
def test_a_smoke_imports_what_a_shell_starts_in_the_end(
    tmp_path: Path, script: str, end: str
) -> None:
    files = {"web/run.sh": script, "web/app.py": "def create_app():\n    pass\n"}
    adopted(tmp_path, f"{HEAD}ENV PORT=80\nEXPOSE 80\n{end}\n", files)
    decided = start(tmp_path / "services.yaml", InitRequest())
    assert "assert callable(create_app)" in decided.files["web/smoke.py"]
    [web] = decided.drafts
    assert (web.entry["shell"], web.entry["port"]) == (True, 80)


def test_a_service_without_a_smoke_says_why(tmp_path: Path) -> None:
    [web] = adopted(tmp_path, f"{HEAD}CMD python app.py\n", {"web/app.py": "while True: pass\n"})
    assert web.comments["context"].startswith("no smoke: an import would run its program; ")
    [web] = adopted(tmp_path, f"{HEAD}CMD date | cat\n")
    assert web.comments["context"].startswith("no smoke: init finds no module in its command; ")


def test_a_shell_stays_where_the_script_looks_at_its_first_word(tmp_path: Path) -> None:
    script = KEEPS.replace("exec", '[ "$1" = gunicorn ] && migrate\nexec')
    text = f'{HEAD}ENTRYPOINT ["./run.sh"]\nCMD gunicorn web:app\n'
    [web] = adopted(tmp_path, text, {"web/run.sh": script})
    assert web.entry["command"] == ["sh", "-c", "exec gunicorn web:app"]


@pytest.mark.parametrize(
    ("entrypoint", "command", "started"),
    [
        ("[sh, -c]", "['gunicorn web:app']", ["gunicorn", "web:app"]),
        ("[tini, --, bash, -ec]", "['a | b']", ["bash", "-ec", "a | b"]),
        ("/bin/sh -c", "gunicorn web:app", ["gunicorn"]),  # the rest is $0, as Docker has it
        ("[bash]", "[run.sh, web]", ["bash", "run.sh", "web"]),
        ("[bash, -e, run.sh]", "[a]", ["a"]),
    ],
)
def test_an_entrypoint_that_is_a_shell_alone_runs_the_command(
    tmp_path: Path, entrypoint: str, command: str, started: list[str]
) -> None:
    compose = f"{COMPOSE[:-2]}, entrypoint: {entrypoint}, command: {command}}}\n"
    [web] = adopted(tmp_path, f"{HEAD}{START}", {"web/run.sh": KEEPS}, compose)
    words = [*web.entry.get("entrypoint", ()), *web.entry["command"]]
    assert [word for word in words if word not in {"tini", "--"}][-len(started) :] == started
    assert "dockerfile" not in web.entry


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ('exec gosu web "$@"\n', []),
        ('# gosu other\nexec /usr/sbin/su-exec web:web "$@"\n', []),
        ('export N="$(nproc)"\nexec gosu "$NAME" "$@"\n', ["the script changes to the user web"]),
        ('[ "$(id -u)" != 0 ] || exec gosu web "$0" "$@"\nexec "$@" $(nproc)\n', []),
    ],
)
def test_a_container_starts_as_the_user_that_a_script_changes_to(
    tmp_path: Path, script: str, said: list[str]
) -> None:
    made = "RUN groupadd -g 77 web && useradd -u 1500 -g web web\nENV NAME=web\nUSER root\n"
    text = f'{HEAD}{made}ENTRYPOINT ["./run.sh"]\nCMD ["python", "app.py"]\n'
    [web] = adopted(tmp_path, text, {"web/run.sh": f"#!/bin/sh\n{script}"})
    assert web.entry["user"] in {"1500", "1500:77"}
    assert web.entry["command"] == ["python", "app.py"]
    assert web.entry.get("entrypoint") in (None, ["sh", "/app/run.sh"])
    assert [what for what, _ in notes(web)] == said


@pytest.mark.parametrize(
    ("script", "system"),
    [
        (
            "A=$(hostname -i)\nif ! grep -q x y; then sed -i s/a/b/ c; fi\n",
            ["grep", "hostname", "sed"],
        ),
        ("# grep x\necho find sed\nls | xargs tar-it\n", ["findutils"]),
        ("echo tar\n", None),
        ("while ! nc -z db 1; do sleep 1; done\n", ["netcat-openbsd"]),
    ],
)
def test_a_script_that_stays_has_the_programs_that_every_debian_has(
    tmp_path: Path, script: str, system: list[str] | None
) -> None:
    files = {"web/run.sh": f"#!/bin/sh\n{script}exec python app.py $(nproc)\n"}
    installs = "RUN apt-get install -y netcat-openbsd\n"
    [web] = adopted(tmp_path, f"{HEAD}{installs}CMD ./run.sh\n", files)
    assert web.entry.get("system") == system


def test_an_entrypoint_of_a_shell_waits_for_no_arguments(tmp_path: Path) -> None:
    (tmp_path / "web").mkdir()
    (tmp_path / "web/requirements.txt").touch()
    (tmp_path / "web/Dockerfile").write_text("FROM python:3.11\nENTRYPOINT exec gunicorn $X\n")
    [web] = start(tmp_path / "services.yaml", InitRequest()).drafts
    assert web.entry["entrypoint"] == ["sh", "-c", "exec gunicorn $X"]
    assert "start" not in web.entry


def test_a_script_that_path_finds_and_a_folder_of_app_that_is_written_to(tmp_path: Path) -> None:
    head = HEAD.replace("/srv/web", "/app")
    copied = "COPY web/run.sh /usr/local/bin/run\nRUN chown 1000 /app/uploads\n"
    files = {"web/run.sh": '#!/bin/sh\nexec "$@"\n', "web/uploads/x": ""}
    [web] = adopted(tmp_path, f'{head}{copied}ENTRYPOINT ["run"]\n{START}', files)
    assert [what for what, _ in notes(web)] == ["RUN chown /app/uploads"]
    assert web.entry["command"] == ["python", "app.py"]


def test_the_shell_of_a_stage_below_runs_what_is_no_list(tmp_path: Path) -> None:
    below = HEAD.replace("3.11", "3.11 AS one")
    [web] = adopted(tmp_path, f"{below}{BASH}FROM one\nENTRYPOINT a | b\n")
    assert web.entry["command"] == ["bash", "-o", "pipefail", "-c", "a | b"]
    assert web.entry["system"] == ["bash"]
    [web] = adopted(tmp_path, f'{HEAD}SHELL ["python", "-c"]\nCMD print(1)\n')
    assert web.entry["command"] == ["python", "-c", "print(1)"]


def test_words_behind_a_program_of_a_package_have_no_shell_either(tmp_path: Path) -> None:
    wraps = f'{HEAD}ENTRYPOINT ["ddtrace-run"]\nCMD '
    [web] = adopted(tmp_path, f"{wraps}gunicorn web:app\n")
    assert web.entry["command"] == ["gunicorn", "web:app"]
    [web] = adopted(tmp_path, f"{wraps}gunicorn web:app | cat\n")
    assert (web.entry["command"], web.entry["shell"]) == (
        ["sh", "-c", "gunicorn web:app | cat"],
        True,
    )


def test_arguments_alone_have_the_entrypoint_of_a_base_of_python(tmp_path: Path) -> None:
    base = "FROM python:3.11 AS built\nRUN pip install flask\nFROM gcr.io/distroless/python3-debian12\n"
    rest = "COPY --from=built /site /site\nENV PYTHONPATH=/site\nWORKDIR /srv/web\nCOPY web .\n"
    [web] = adopted(tmp_path, f'{base}{rest}CMD ["-m", "flask", "run"]\n')
    assert web.entry["command"] == ["python", "-m", "flask", "run"]
    assert "distroless" in web.comments["command"]
    assert web.entry["env"] == {"PYTHONPATH": "/app"}
    [web] = adopted(tmp_path, f'{base}{rest}CMD ["app.py"]\n')
    assert web.entry["command"] == ["python", "app.py"]


@pytest.mark.parametrize("words", ['"app.handler"', '"-x"', '"app.py"'])
def test_what_an_unknown_entrypoint_takes_keeps_the_dockerfile(tmp_path: Path, words: str) -> None:
    text = HEAD.replace("python:3.11", "public.ecr.aws/lambda/py:3.12")
    [web] = adopted(tmp_path, f"{text}CMD [{words}]\n")
    assert web.entry["dockerfile"] == "web/Dockerfile"
    assert "the entrypoint of public.ecr.aws/lambda/py:3.12 takes" in notes(web)[0][0]
    [web] = adopted(tmp_path, f'{text}CMD ["./app.py"]\n')  # a program itself
    assert web.entry["command"] == ["python", "./app.py"]
    [web] = adopted(tmp_path, f'{HEAD}CMD ["app.handler"]\n')  # Docker's Python has no entrypoint
    assert web.entry["command"] == ["app.handler"]


def test_a_supervisor_of_several_programs_is_a_note(tmp_path: Path) -> None:
    [web] = adopted(tmp_path, f'{HEAD}CMD ["/usr/bin/supervisord", "-n"]\n')
    assert "supervisord starts several programs" in str(notes(web))


@pytest.mark.parametrize(
    ("code", "key", "start"),
    [
        ("import flask\n", "command", None),
        ("import argparse\n", "entrypoint", ["--help"]),
        ("from sys import argv\n", "entrypoint", ["--help"]),
    ],
)
def test_an_entrypoint_that_reads_no_arguments_waits_for_none(
    tmp_path: Path, code: str, key: str, start: list[str] | None
) -> None:
    (tmp_path / "web").mkdir()
    (tmp_path / "web/Dockerfile").write_text(f'{HEAD}ENTRYPOINT ["python", "app.py"]\n')
    (tmp_path / "web/app.py").write_text(code)
    (tmp_path / "web/requirements.txt").write_text("flask\n")
    [web] = start_of(tmp_path)
    assert web.entry[key] == ["python", "app.py"]
    assert web.entry.get("start") == start


def start_of(root: Path) -> list[Draft]:
    return list(start(root / "services.yaml", InitRequest()).drafts)


def test_what_a_base_image_has_beside_python_is_a_note(tmp_path: Path) -> None:
    for base in ("pytorch/pytorch:2.4.0", "nvidia/cuda:12.4.1-base", "acme/web:python3.11"):
        [web] = adopted(tmp_path, HEAD.replace("python:3.11", base) + START)
        assert f"what {base} has beside Python" in dict(notes(web))
    for base in ("python:3.11", "debian:12", "x.io/python-base:1", "continuumio/miniconda3"):
        [web] = adopted(tmp_path, HEAD.replace("python:3.11", base) + START)
        assert "beside Python" not in str(notes(web))


def test_an_image_runs_the_virtual_environment_that_it_takes(tmp_path: Path) -> None:
    builder = (
        "FROM ghcr.io/astral-sh/uv:bookworm-slim AS built\nENV UV_PYTHON_INSTALL_DIR=/python\n"
        "WORKDIR /srv/web\nCOPY web .\nRUN uv python install 3.13 && uv pip install -r requirements.txt\n"
    )
    final = "FROM {}\nCOPY --from=built /python /python\nCOPY --from=built /srv/web /srv/web\n"
    path = 'ENV PATH="/srv/web/.venv/bin:$PATH"\nWORKDIR /srv/web\nCMD ["python", "app.py"]\n'
    [web] = adopted(tmp_path, f"{builder}{final.format('debian:bookworm-slim')}{path}")
    assert (web.entry["command"], web.entry["requirements"]) == (
        ["python", "app.py"],
        "requirements.txt",
    )
    [web] = adopted(tmp_path, f"{builder}{final.format('nginx')}")
    assert web.entry["dockerfile"] == "web/Dockerfile"


def test_python_by_its_version_installs(tmp_path: Path) -> None:
    text = HEAD.replace("python:3.11", "ubuntu:22.04").replace("pip", "python3.12 -m pip")
    [web] = adopted(tmp_path, f"{text}{START}")
    assert web.entry["requirements"] == "requirements.txt"
    assert web.python is not None
    assert web.python.value == "3.12"


def test_settings_of_a_program_in_the_home_of_root_are_a_note(tmp_path: Path) -> None:
    steps = (
        "RUN mkdir -p /root/.streamlit && cp config.toml /root/.streamlit/config.toml\n"
        "RUN echo x > /root/.bashrc && cp key /root/.ssh/key && cp pip.conf /root/.config/pip/pip.conf\n"
    )
    [web] = adopted(tmp_path, f"{HEAD}{steps}{START}")
    assert [what for what, _ in notes(web) if what.startswith("RUN")] == [
        "RUN cp config.toml /root/.streamlit/config.toml"
    ]


def test_a_step_that_loads_a_model_says_where_models_go(tmp_path: Path) -> None:
    steps = (
        "RUN python -c \"from transformers import pipeline; pipeline(model='a/b')\"\n"
        "RUN huggingface-cli download a/b\nRUN python -m spacy download en_core_web_sm\n"
        "RUN python -m nltk.downloader punkt\n"
    )
    [web] = adopted(tmp_path, f"{HEAD}{steps}{START}")
    one, two, spacy, nltk = (advice for what, advice in notes(web) if what.startswith("RUN"))
    assert one == two
    assert "`weights: {path: FOLDER}`" in one
    assert "require that by the address of its wheel" in spacy
    assert nltk.startswith("if it makes files")


def test_a_mount_of_data_is_not_one_of_code(tmp_path: Path) -> None:
    compose = COMPOSE.replace(
        "Dockerfile}", "Dockerfile}, volumes: [./models:/models, ./web:/srv/web, ~/.cache:/cache]"
    )
    [web] = adopted(tmp_path, f"{HEAD}{START}", {"models/a.bin": ""}, compose)
    said = {what: advice for what, advice in notes(web) if what.startswith("the mount")}
    data, code, cache = said.values()
    assert "`weights: {path: FOLDER}`" in data
    assert "an image holds the code" in code
    assert cache == data


def test_a_further_context_of_a_build_is_a_folder_of_the_repository(tmp_path: Path) -> None:
    compose = (
        "services:\n  web:\n    build: {context: web, additional_contexts: {libs: ./libs}}\n"
        "  odd:\n    build: {context: web, additional_contexts: [libs=docker-image://x]}\n"
    )
    library = {"libs/common/pyproject.toml": "[project]\nname='common'\nversion='1'\n"}
    text = (
        "FROM python:3.11\nWORKDIR /srv\nCOPY --from=libs common /libs/common\nCOPY . .\n"
        f"RUN pip install /libs/common -r requirements.txt\n{START}"
    )
    web, odd = adopted(tmp_path, text, library, compose)
    assert web.entry["requirements"] == ["web/requirements.txt", "./libs/common"]
    assert web.kept is not None
    assert web.kept.entry["contexts"] == {"libs": "libs"}
    assert "files of the image libs are copied" in dict(notes(odd))
    assert "build: additional_contexts" in dict(notes(odd))


def test_a_package_at_the_root_is_imported_from_there(tmp_path: Path) -> None:
    text = "FROM python:3.11\nCOPY web /web\nRUN pip install -r /web/requirements.txt\n"
    [web] = adopted(tmp_path, f'{text}CMD ["uvicorn", "web.app:x"]\n')
    assert web.entry["context"] == "."


def test_a_folder_without_a_dockerfile_has_a_name_and_says_what_a_procfile_starts(
    tmp_path: Path,
) -> None:
    root = tmp_path / "shop"
    root.mkdir()
    (root / "requirements.txt").write_text("flask\n")
    (root / "main.py").write_text("from flask import Flask\napp = Flask(__name__)\n")
    (root / "Procfile").write_text("web: gunicorn main:app\nworker: python worker.py\n")
    decided = start(root / "services.yaml", InitRequest())
    assert [each.name for each in decided.drafts] == ["shop"]
    assert [(str(each.place), each.what) for each in decided.drafts[0].notes] == [
        ("Procfile:1", "web: gunicorn main:app"),
        ("Procfile:2", "worker: python worker.py"),
    ]
    assert [each.what for each in decided.notes] == [
        "nothing says the version of Python, and init took 3.13"
    ]
    (root / "runtime.txt").write_text("python-3.12.4\n")
    decided = start(root / "services.yaml", InitRequest())
    assert 'python: "3.12"' in decided.text
    assert not decided.notes
