"""Dockerfiles as people write them: what slimbake takes from each line, and where it stands."""

from __future__ import annotations

import pytest

from slimbake.adopt.dockerfile import dockerfile_facts
from slimbake.adopt.model import Command, ImageFacts, Place, Said
from slimbake.adopt.needs import needs_of
from slimbake.fingerprint.instructions import instructions


def facts(text: str, target: str = "", **arguments: str) -> ImageFacts:
    found = dockerfile_facts(text, "Dockerfile", target, arguments)
    assert found is not None
    return found


def test_a_byte_order_mark_crlf_and_comments_within_an_instruction_mean_nothing() -> None:
    text = (
        "\ufeffFROM python:3.11\r\nRUN apt-get update && \\\r\n  # why\r\n\r\n  pip install x\r\n"
    )
    found = facts(text)
    assert [(step.words, step.place.line) for step in found.steps] == [
        (("apt-get", "update"), 2),
        (("pip", "install", "x"), 5),
    ]


def test_another_escape_character_continues_lines() -> None:
    found = list(instructions("# escape=`\nFROM x\nRUN a `\n  b\nUSER c\\\n"))
    assert [(each.word, each.rest) for each in found] == [
        ("FROM", "x"),
        ("RUN", "a    b"),
        ("USER", "c\\"),
    ]


def test_here_documents_are_no_instructions_and_their_commands_are_read() -> None:
    text = (
        "FROM python:3.11\n"
        "RUN <<EOF\napt-get install -y libpq5\nUSER root\nEOF\n"
        "COPY <<-'A' <<B /etc/\n\tone\n\tA\ntwo\nB\n"
        "RUN python - <<PY\nimport os\nPY\n"
        "CMD x\n"
    )
    found = facts(text)
    assert found.user is None
    assert found.scripts["/etc"] == ("one\n", Place("Dockerfile", 7))
    assert needs_of(found.steps, "s").system == {"libpq5": Place("Dockerfile", 3)}
    assert found.command == Command(("x",), True, Place("Dockerfile", 14))


def test_arguments_and_variables_are_filled_in() -> None:
    text = (
        "ARG VERSION=3.11\nFROM python:${VERSION}-slim AS base\n"
        "ARG PORT\nENV A=1 B=\"two ${A} 3\" C='$A' D=${PORT:-80}\nENV old some words\n"
        "FROM base\nEXPOSE $D/tcp\nWORKDIR /srv\nWORKDIR app\n"
    )
    found = facts(text, VERSION="3.12")
    assert found.parent.value == "python:3.12-slim"
    assert {name: said.value for name, said in found.env.items()} == {
        "A": "1",
        "B": "two  3",
        "C": "$A",
        "D": "80",
        "old": "some words",
    }
    assert [said.value for said in found.ports] == ["80/tcp"]
    assert found.workdir == "/srv/app"


def test_an_entrypoint_clears_the_command_of_the_stage_below_and_not_its_own() -> None:
    below = 'FROM python:3.11 AS one\nCMD ["a"]\nFROM one\nENTRYPOINT ["b"]\n'
    assert facts(below).command is None
    own = 'FROM python:3.11\nCMD ["a"]\nENTRYPOINT ["b"]\n'
    assert facts(own).command == Command(("a",), False, Place("Dockerfile", 2))


def test_a_stage_that_only_names_the_image_of_uv_is_its_program() -> None:
    text = "FROM ghcr.io/astral-sh/uv:0.5 AS uv\nFROM python:3.11\nCOPY --from=uv /uv /bin/\n"
    assert (facts(text).taken, facts(text).notes) == ((), ())


def test_what_a_stage_of_python_installed_counts_and_what_another_builds_is_reported() -> None:
    text = (
        "FROM node:22 AS web\nRUN npm run build\n"
        "FROM python:3.11 AS wheels\nRUN pip wheel -r requirements.txt && make\n"
        "FROM python:3.11\nCOPY --from=web /dist /static\nCOPY --from=wheels /w /w\n"
        "COPY --from=ghcr.io/astral-sh/uv:latest /uv /bin/\n"
        "COPY --from=acme/data:1 /data /data\n"
    )
    found = facts(text)
    needs = needs_of(found.steps, "s")
    assert needs.files == {"/requirements.txt": Place("Dockerfile", 4)}
    assert [(note.place.line, note.what) for note in needs.notes] == [(4, "RUN make")]
    assert [(note.place.line, note.what) for note in found.notes] == [
        (9, "files of the image acme/data:1 are copied"),
    ]


def test_what_a_stage_of_python_runs_beside_installing_is_reported() -> None:
    text = (
        "FROM python:3.11 AS build\nCOPY app app\nRUN python -m venv /venv && chmod a+x app\n"
        "RUN cd app && python -m grpc_tools.protoc x.proto\nRUN pip uninstall -y grpcio-tools\n"
        "FROM python:3.11\nCOPY --from=build /app /app\n"
    )
    text += "RUN pip uninstall -y uv pip\n"
    needs = needs_of(facts(text).steps, "s")
    assert needs.needless[-1].words == ("pip", "uninstall", "-y", "uv", "pip")
    notes = needs.notes
    assert [(note.place.line, note.what) for note in notes] == [
        (4, "RUN python -m grpc_tools.protoc x.proto"),
        (5, "RUN pip uninstall -y grpcio-tools"),
    ]
    assert "a step of `build` with its outputs" in notes[0].advice
    assert notes[1].advice == "leave these out of what is required"


def test_a_target_is_taken_in_place_of_the_last_stage() -> None:
    text = "FROM python:3.11 AS prod\nCMD a\nFROM prod AS dev\nCMD b\n"
    assert facts(text, "prod").command == Command(("a",), True, Place("Dockerfile", 2))
    assert dockerfile_facts(text, "Dockerfile", "gone") is None


@pytest.mark.parametrize(
    ("step", "files", "specs"),
    [
        ("pip install -r requirements.txt", ["/srv/requirements.txt"], []),
        ("pip3 install --no-cache-dir -rreq.txt", ["/srv/req.txt"], []),
        ("python -m pip install --requirement=/r.txt x==1", ["/r.txt"], ["x==1"]),
        ("/opt/venv/bin/pip install --upgrade pip setuptools", [], []),
        ("uv pip install --system -r a.txt -r b.txt", ["/srv/a.txt", "/srv/b.txt"], []),
        ("uv pip sync a.txt", ["/srv/a.txt"], []),
        ('pip install -t /x "uvicorn[standard]>=0.30"', [], ["uvicorn[standard]>=0.30"]),
        ("pip wheel -w /wheels x && pip install --no-index -f /wheels /wheels/*", [], ["x"]),
        ("pip-sync --quiet a.txt", ["/srv/a.txt"], []),
        ("pip-sync", ["/srv/requirements.txt"], []),
        (
            "pip install https://host/x-1-py3-none-any.whl",
            [],
            ["https://host/x-1-py3-none-any.whl"],
        ),
        ("pip install 'x @ https://host/x-1.whl'", [], ["x @ https://host/x-1.whl"]),
        ("uv pip install --prerelease allow --python-platform linux x", [], ["x"]),
        (". /venv/bin/activate && pip install --root-user-action ignore x", [], ["x"]),
    ],
)
def test_requirements_are_found_however_pip_is_called(
    step: str, files: list[str], specs: list[str]
) -> None:
    needs = needs_of(facts(f"FROM python:3.11\nWORKDIR /srv\nRUN {step}\n").steps, "s")
    assert list(needs.files) == files
    assert list(needs.specs) == specs
    assert needs.notes == []


@pytest.mark.parametrize(
    ("step", "folder", "member"),
    [
        ("uv sync --frozen --no-dev", "/srv", ""),
        ("uv sync --package api", "/srv", "api"),
        ("cd api && uv sync", "/srv/api", ""),
        ("poetry install --only main", "/srv", ""),
        ("poetry export -f requirements.txt -o r.txt", "/srv", ""),
        ("pdm install --prod", "/srv", ""),
    ],
)
def test_projects_are_found_whoever_installs_them(step: str, folder: str, member: str) -> None:
    needs = needs_of(facts(f"FROM python:3.11\nWORKDIR /srv\nRUN {step}\n").steps, "s")
    assert list(needs.projects) == [folder]
    assert needs.member == member


def test_a_step_that_is_not_understood_is_reported_with_its_line() -> None:
    text = "FROM python:3.11\nRUN useradd a && \\\n    python -m nltk.downloader punkt\n"
    notes = needs_of(facts(text).steps, "s").notes
    assert [(note.place, note.what) for note in notes] == [
        (Place("Dockerfile", 3), "RUN python -m nltk.downloader punkt")
    ]


def test_the_index_of_torch_says_which_build_and_another_index_is_reported() -> None:
    text = (
        "FROM python:3.11\n"
        "RUN pip install torch --index-url https://download.pytorch.org/whl/cu121\n"
        "RUN pip install -i https://pypi.example.com/simple x\n"
    )
    needs = needs_of(facts(text).steps, "s")
    assert needs.torch == "cu121"
    assert [note.what for note in needs.notes] == ["the index https://pypi.example.com/simple"]


@pytest.mark.parametrize(
    ("run", "reported"),
    [
        (
            "for f in r/*.txt; do\\\n  pip install -r $f; done && make",
            ["RUN for f in r/*.txt; do pip install -r $f; done", "RUN make"],
        ),
        (
            'case "$A" in x|y) curl a;; *) while b; do c; done;; esac; rm d',
            ['RUN case "$A" in x|y) curl a;; *) while b; do c; done;; esac'],
        ),
        (
            "<<EOT\nfor a in 1\n do\n  b $a\n  c\ndone\nEOT",
            ["RUN for a in 1; do b $a; c; done"],
        ),
        ("curl a \\\n | tar xz -C /usr && make", ["RUN curl a | tar xz -C /usr", "RUN make"]),
        ("while a; do b", ["RUN while a; do b"]),
        ("echo '* * * * * x' | crontab -", ["RUN echo * * * * * x | crontab -"]),
        ("uv export | uv pip install -r -", []),
    ],
)
def test_a_loop_and_a_pipe_are_one_step_in_notes(run: str, reported: list[str]) -> None:
    found = needs_of(facts(f"FROM python:3.11\nRUN {run}\n").steps, "s")
    assert list(dict.fromkeys(note.what for note in found.notes)) == reported
    assert {note.place.line for note in found.notes if note.what != "RUN make"} <= {2, 3}
    assert "echo" not in {step.words[0] for step in found.needless}


def test_a_value_of_an_argument_that_a_build_is_not_given_is_a_note() -> None:
    text = (
        "FROM python:3.11\nARG SHA\nARG A=1\nENV SHA=$SHA A=$A B=${SHA:-none} UV_INDEX=$SHA\n"
        "LABEL rev=$SHA a=$A\nENV C=$UNKNOWN\n"
    )
    found = facts(text)
    assert [(note.place.line, note.what) for note in found.notes] == [
        (4, "SHA has its value from the build argument SHA"),
        (5, "rev has its value from the build argument SHA"),
    ]
    assert found.labels == {"a": "1"}
    given = dockerfile_facts(text, "Dockerfile", "", {"SHA": "abc"})
    assert given is not None
    assert (given.notes, given.labels) == ((), {"rev": "abc", "a": "1"})


def test_secrets_that_a_step_installs_with_are_settings_of_the_machine() -> None:
    text = "FROM python:3.11\nRUN --mount=type=secret,id=pip,target=/etc/pip.conf pip install x\n"
    [note] = facts(text).notes
    assert note.what == "RUN --mount=type=secret,id=pip,target=/etc/pip.conf"
    assert "~/.netrc" in note.advice


def test_variables_of_a_step_are_split_as_a_shell_does() -> None:
    text = (
        'FROM python:3.11\nENV MORE="httpx idna" NONE="" REQ="a b.txt"\n'
        "RUN deps='gcc libc6-dev' made=\"$(ls)\" \\\n && apt-get install -y $deps libxml2 $made \\\n"
        ' && pip install $MORE $NONE uvicorn -r "$REQ"\n'
    )
    needs = needs_of(facts(text).steps, "s")
    assert (list(needs.build), list(needs.system)) == (["gcc", "libc6-dev"], ["libxml2"])
    assert (list(needs.specs), list(needs.files)) == (["httpx", "idna", "uvicorn"], ["/a b.txt"])


def test_an_archive_that_is_added_is_unpacked_by_docker_alone() -> None:
    found = facts("FROM python:3.11\nADD a.tar.gz b.txt /data/\nCOPY c.tgz /\n")
    assert [(note.place.line, note.what) for note in found.notes] == [(2, "ADD a.tar.gz")]
    assert [copied.sources for copied in found.copies] == [("b.txt",), ("c.tgz",)]


def test_extras_and_groups_that_uv_pip_installs_are_no_packages() -> None:
    step = "uv pip install --system -r pyproject.toml --extra prod --group dev"
    needs = needs_of(facts(f"FROM python:3.11\nWORKDIR /srv\nRUN {step}\n").steps, "s")
    assert (list(needs.projects), list(needs.specs)) == (["/srv"], [])
    assert (needs.extras, list(needs.groups)) == (("prod",), ["dev"])


def test_variables_of_an_installer_are_its_options() -> None:
    text = (
        "FROM python:3.11\nARG UV_INDEX\n"
        "ENV PIP_INDEX_URL=https://me:pw@pypi.example.com/simple PIP_CONSTRAINT=/c.txt\n"
        "ENV PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu PIP_NO_CACHE_DIR=1\n"
        "RUN pip install torch -i https://pypi.test/simple\nRUN pip install x\n"
        "RUN uv pip install y\nRUN ./build -o x\n"
    )
    needs = needs_of(facts(text).steps, "s")
    assert (needs.torch, list(needs.constraints)) == ("cpu", ["/c.txt"])
    assert [(note.place.line, note.what) for note in needs.notes] == [
        (5, "the index https://pypi.example.com/simple"),
        (7, "the index that UV_INDEX names"),
        (8, "RUN ./build -o x"),
    ]


def test_built_packages_that_no_step_made_are_kept_apart() -> None:
    text = (
        "FROM python:3.11 AS build\nWORKDIR /src\nCOPY . .\nRUN poetry build\n"
        "RUN pip wheel --wheel-dir /wheels x\nFROM python:3.11\nCOPY wheels /own\n"
        "COPY --from=build /src/dist /dist\n"
        "RUN --mount=type=bind,from=build,source=/wheels,target=/w pip install -f /w --no-index x\n"
        "RUN pip install /dist/*.whl /own/y-1-py3-none-any.whl && pip install -f https://host/ z\n"
    )
    found = facts(text)
    needs = needs_of(found.steps, "s", found.handed)
    assert list(needs.built) == ["/own/y-1-py3-none-any.whl"]
    assert (list(needs.folders), list(needs.specs)) == (["/src"], ["x", "z"])
    assert [note.what for note in needs.notes] == ["the index https://host/"]


def test_a_folder_by_its_address_and_an_index_of_pip_config() -> None:
    text = (
        "FROM python:3.11\nRUN pip config set global.index-url https://pypi.example.com/simple\n"
        "RUN pip install 'lib[a] @ file:///libs/lib' file:///libs/other\n"
    )
    needs = needs_of(facts(text).steps, "s")
    assert (list(needs.folders), needs.extras) == (["/libs/lib", "/libs/other"], ("a",))
    assert [note.what for note in needs.notes] == ["the index https://pypi.example.com/simple"]


def test_debian_s_own_python_is_not_carried_over() -> None:
    text = "FROM ubuntu\nRUN apt-get install -y python3.11 python3.11-venv python3-dev libpq5\n"
    needs = needs_of(facts(text).steps, "s")
    assert (list(needs.system), list(needs.build)) == (["libpq5"], [])


def test_what_a_pipfile_installs_beside_its_packages_is_reported() -> None:
    steps = 'pipenv install --deploy --dev && pipenv requirements --categories "packages prod"'
    notes = needs_of(facts(f"FROM python:3.11\nRUN {steps}\n").steps, "s").notes
    assert [note.what for note in notes] == [
        "[dev-packages] of the Pipfile",
        "[prod] of the Pipfile",
    ]


def test_alpine_s_packages_are_reported_because_debian_names_them_otherwise() -> None:
    notes = needs_of(
        facts("FROM python:3.11-alpine\nRUN apk add --no-cache gcc libpq\n").steps, "s"
    )
    assert [note.what for note in notes.notes] == ["the Alpine packages libpq"]


def test_what_compiles_is_for_wheels_in_whichever_stage_it_stands() -> None:
    text = (
        "FROM python:3.11 AS build\nRUN apt-get install -y gcc libpq-dev git\n"
        "FROM build\nRUN apt-get install -y libpq5\n"
    )
    needs = needs_of(facts(text).steps, "s")
    assert list(needs.build) == ["gcc", "libpq-dev", "git"]
    assert list(needs.system) == ["libpq5"]


@pytest.mark.parametrize(
    ("run", "files", "reported"),
    [
        (
            'if [ "$D" = "1" ]; then pip install -r a.txt; else pip install -r b.txt; fi',
            ["b.txt"],
            [],
        ),
        (
            'if [ "$D" != "1" ]; then pip install -r a.txt; fi; pip install -r c.txt',
            ["a.txt", "c.txt"],
            [],
        ),
        ("if [ -z $D ]; then pip install -r a.txt; fi && pip install -r c.txt", ["c.txt"], []),
        ("bash -c \"if [ $D == 'no' ] ; then pip install -r a.txt ; fi\"", ["a.txt"], []),
        ('["sh", "-c", "pip install -r a.txt && rm -rf x"]', ["a.txt"], []),
        (
            "if test -f x; then pip install -r a.txt; ls; else pip install -r b.txt; fi",
            [],
            ["RUN then pip install -r a.txt", "RUN then ls", "RUN else pip install -r b.txt"],
        ),
        (
            "if [ $D = yes ]; then pip install -r a.txt; elif [ $D = no ]; then pip install -r b.txt; fi",
            ["b.txt"],
            [],
        ),
        (
            "if [ $D = no ]; then pip install -r a.txt; elif ls; then pip install -r b.txt; else"
            " pip install -r c.txt; fi; pip install -r d.txt",
            ["a.txt", "d.txt"],
            [],
        ),
        (
            "if ls; then true; elif [ $D = no ]; then pip install -r b.txt; else make; fi",
            [],
            ["RUN then true", "RUN then pip install -r b.txt", "RUN else make"],
        ),
    ],
)
def test_branches_of_a_shell_are_followed_where_arguments_say_which(
    run: str, files: list[str], reported: list[str]
) -> None:
    found = needs_of(facts(f"FROM python:3.11\nARG D=no\nWORKDIR /app\nRUN {run}\n").steps, "s")
    assert list(found.files) == [f"/app/{each}" for each in files]
    assert [note.what for note in found.notes] == reported


@pytest.mark.parametrize(
    ("step", "note"),
    [
        ("echo mode=prod > /etc/web/web.conf", "RUN echo mode=prod > /etc/web/web.conf"),
        ("printf 'a=1' >> conf/x.ini", "RUN printf a=1 > /srv/conf/x.ini"),
        ("cp app.py app2.py", "RUN cp app.py app2.py"),
        ("touch /data/.keep", "RUN touch /data/.keep"),
        ("cat > /etc/here.conf <<EOT\nx\nEOT", "RUN cat > /etc/here.conf"),
        ("cat <<EOT > /etc/here.conf\nx\nEOT", "RUN cat > /etc/here.conf"),
        ("echo x &>/etc/both.conf", "RUN echo x > /etc/both.conf"),
        ("echo x > '/etc/we$b.conf'", "RUN echo x > /etc/we$b.conf"),
        ('echo x > "$UNKNOWN"', ""),
        ("echo x >> ~/.bashrc", ""),
        ("install -dm755 /data", ""),
        ("echo $TZ > /etc/timezone", ""),
        (
            "printf '[global]' > ~/.config/pip/pip.conf",
            "RUN printf [global] > /root/.config/pip/pip.conf",
        ),
        ("install -m 644 a.crt /usr/local/share/ca-certificates/", None),
        ("echo deb http://x y > /etc/apt/sources.list.d/x.list", ""),
        ("ln -sf /usr/share/zoneinfo/Etc/UTC /etc/localtime", ""),
        ("cd /usr/local/bin && ln -s /opt/poetry/bin/poetry", ""),
        ("echo done > /dev/null 2>&1", ""),
        ("install -d /srv/cache", ""),
        ("echo working", ""),
    ],
)
def test_a_step_that_writes_a_file_is_a_note_and_one_that_prepares_is_not_needed(
    step: str, note: str | None
) -> None:
    needs = needs_of(facts(f"FROM python:3.11\nWORKDIR /srv\nRUN {step}\n").steps, "web")
    expected = [f"RUN {step}" if note is None else note] if note != "" else []
    assert [each.what for each in needs.notes] == expected
    assert len(needs.needless) == (not expected)


def test_what_an_earlier_stage_writes_is_none_of_the_image() -> None:
    text = "FROM python:3.11 AS build\nRUN echo 1 > /x\nFROM python:3.11\nCOPY --from=build /y /y\n"
    assert not needs_of(facts(text).steps, "web").notes


@pytest.mark.parametrize(
    "step",
    [
        "ln -sf /usr/share/zoneinfo/Asia/Tokyo /etc/localtime",
        "ln -snf /usr/share/zoneinfo/$ZONE /etc/localtime && echo $ZONE > /etc/timezone",
        "cp /usr/share/zoneinfo/Asia/Tokyo /etc/localtime",
        "echo 'Asia/Tokyo' > /etc/timezone && dpkg-reconfigure -f noninteractive tzdata",
    ],
)
def test_the_time_zone_of_an_image(step: str) -> None:
    needs = needs_of(facts(f"FROM python:3.11\nARG ZONE=Asia/Tokyo\nRUN {step}\n").steps, "web")
    assert needs.zone == Said("Asia/Tokyo", Place("Dockerfile", 3))
    assert not needs.notes
    assert [each.words[0] for each in needs.needless] == ["dpkg-reconfigure"] * ("dpkg" in step)


GENERATED = (
    "FROM python:3.11 AS gen\nWORKDIR /src\nRUN pip install grpcio-tools==1.81.1\n"
    "RUN python -m grpc_tools.protoc -I /src --python_out=/gen x.proto\n"
    "FROM python:3.11\nRUN pip install -r requirements.txt\n"
)


def test_packages_of_a_stage_of_which_an_image_takes_other_files_are_a_note() -> None:
    needs = needs_of(facts(f"{GENERATED}COPY --from=gen /gen .\n").steps, "s")
    assert (list(needs.files), needs.specs) == (["/requirements.txt"], {})
    assert [(str(note.place), note.what) for note in needs.notes] == [
        ("Dockerfile:3", "grpcio-tools==1.81.1: only in stage gen"),
        ("Dockerfile:4", "RUN python -m grpc_tools.protoc -I /src --python_out=/gen x.proto"),
    ]
    assert "[build-system] requires it" in needs.notes[0].advice


@pytest.mark.parametrize(
    ("stage", "takes"),
    [
        ("RUN pip install x", "COPY --from=build /usr/local/bin /usr/local/bin"),
        ("RUN pip install --prefix=/install x", "COPY --from=build /install /usr/local"),
        ("RUN pip install -t vendor x", "COPY --from=build /src/vendor /vendor"),
        ("RUN pip install -t/vendor x", "COPY --from=build /vendor/y /vendor/y"),
        ("ENV PATH=/env/bin:$PATH\nRUN pip install x", "COPY --from=build /env /env"),
        ("RUN virtualenv /env && /env/bin/pip install x", "COPY --from=build /env /env"),
        ("RUN pip install --user x", "COPY --from=build /root/.local /root/.local"),
        ("RUN pip install x", "COPY --from=build /src /app"),
        ("RUN pip install x && cp -r /usr/local/lib /all", "COPY --from=build /all /all"),
        ("RUN pip install x && mv $(where) /all", "COPY --from=build /all /all"),
        ("RUN pip wheel -w /w x", "COPY --from=build /w /w"),
        ("RUN pip install x\nRUN pip freeze > /list", "COPY --from=build /list /list"),
        ("RUN pip install x", "COPY --from=build /gen /gen\nCOPY --from=0 /usr /usr"),
        ("RUN pip install x", "RUN --mount=from=build,target=/b cp -r /b/gen /gen"),
        (
            "RUN pip install x\nFROM python:3.11 AS next\nCOPY --from=build /usr/local /all",
            "COPY --from=next /all /usr/local",
        ),
    ],
)
def test_packages_that_an_image_may_take_of_a_stage_are_its_own(stage: str, takes: str) -> None:
    text = (
        f"FROM python:3.11 AS build\nWORKDIR /src\n{stage}\n"
        f"FROM python:3.11\n{takes}\nRUN pip install y\n"
    )
    assert [*needs_of(facts(text).steps, "s").specs] == ["x", "y"]


def test_packages_of_a_stage_are_the_services_where_it_has_no_others() -> None:
    text = "FROM python:3.11 AS made\nRUN pip install x\nFROM python:3.11\nCOPY --from=made /a /a\n"
    assert [*needs_of(facts(text).steps, "s").specs] == ["x"]


@pytest.mark.parametrize(
    ("adds", "removes"),
    [
        ("poetry install --only main,build", "poetry sync --only main"),
        ("poetry install --with build", "poetry install --sync --only main"),
        ("uv sync --group build --no-dev", "uv sync --no-dev"),
        ("pdm install -G build", "pdm sync --clean --prod"),
    ],
)
def test_a_group_that_a_later_step_takes_out_is_a_note(adds: str, removes: str) -> None:
    needs = needs_of(facts(f"FROM python:3.11\nRUN {adds}\nRUN {removes}\n").steps, "s")
    assert needs.groups == {}
    assert [(str(note.place), note.what) for note in needs.notes] == [
        ("Dockerfile:2", "the group 'build': Dockerfile:3 takes it out again")
    ]
    kept = facts(f"FROM python:3.11\nRUN {adds}\nRUN uv sync --inexact\n")
    assert [*needs_of(kept.steps, "s").groups] == ["build"]
