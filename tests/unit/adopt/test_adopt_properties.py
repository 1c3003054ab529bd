"""No matter what stands in a Dockerfile or a compose file, reading it ends, and says something."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from slimbake.adopt.compose import compose_facts
from slimbake.adopt.decide import adoption
from slimbake.adopt.dockerfile import dockerfile_facts
from slimbake.adopt.model import Repository
from slimbake.adopt.shell import simple_commands

PIECES = st.sampled_from(
    [
        *(
            "FROM python:3.11",
            "FROM a AS b",
            "FROM b",
            "FROM",
            "from $X",
            "ARG X=1",
            "ARG",
            "ENV A=b",
        ),
        *(
            "ENV A b",
            "ENV",
            "WORKDIR /x",
            "WORKDIR",
            "COPY . .",
            "COPY",
            "COPY --from=0 a b",
            "USER 1",
        ),
        *(
            "COPY a",
            "COPY <<E /x",
            "E",
            "RUN pip install -r r.txt",
            "RUN",
            "RUN <<E",
            "RUN [",
            "\\",
        ),
        *(
            "RUN apt-get install",
            "CMD",
            'CMD ["a"',
            "CMD []",
            "CMD $A",
            "CMD a && b",
            "ENTRYPOINT x.sh",
        ),
        *(
            'ENTRYPOINT ["./x.sh"]',
            "EXPOSE 80/udp a",
            "EXPOSE",
            "VOLUME [",
            "VOLUME /a /b",
            "#",
            "  ",
        ),
        *(
            "HEALTHCHECK",
            "HEALTHCHECK NONE",
            "HEALTHCHECK CMD curl x",
            "HEALTHCHECK CMD",
            "ONBUILD x",
        ),
        *("# escape=`", "LABEL a=b c", "STOPSIGNAL 9", "ADD http://x y", "RUN --mount=target=/x y"),
        *(
            "RUN cd /a && uv sync --package",
            "RUN pip install -r",
            "RUN uv pip",
            "\ufeff",
            "\t",
            "é'",
        ),
    ]
)
SCRIPTS = st.text(alphabet="ab $\"'\\`(){}|&;<>#=\n\r\x0b*[]-~!é", max_size=40)
SCALARS = st.sampled_from(["", "a", ".", "..", "80:81", "${X", "${X:-y}", "$$", "1", "true", "/x"])
VALUES = st.recursive(
    SCALARS | st.none() | st.integers(0, 9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *(
                        "context",
                        "dockerfile",
                        "args",
                        "target",
                        "file",
                        "service",
                        "test",
                        "source",
                    ),
                    *("condition", "resources", "reservations", "devices", "capabilities", "path"),
                ]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)
KEYS = st.sampled_from(
    [
        *("build", "image", "command", "entrypoint", "environment", "env_file", "ports", "expose"),
        *(
            "volumes",
            "tmpfs",
            "user",
            "working_dir",
            "healthcheck",
            "depends_on",
            "extends",
            "deploy",
        ),
        *("profiles", "gpus", "restart", "stop_signal"),
    ]
)


def repository(**texts: str) -> Repository:
    named = {name.replace("_", "."): text for name, text in texts.items()}
    files = frozenset({*named, "a/x.py", "r.txt"})
    return Repository("r", files, frozenset({".", "a"}), named)


@given(st.lists(PIECES, max_size=12).map("\n".join))
@settings(max_examples=100, deadline=None)
def test_any_lines_of_a_dockerfile_are_read(text: str) -> None:
    dockerfile_facts(text, "Dockerfile")
    adoption(repository(Dockerfile=text, x_sh="#!/bin/sh\nexec $@\n"), ())


@given(SCRIPTS)
@settings(max_examples=100, deadline=None)
def test_any_text_for_a_shell_ends(text: str) -> None:
    commands = simple_commands(text)
    assert all(command.words or command.assignments for command in commands)
    adoption(repository(Dockerfile=f"FROM python:3\nCMD {text}\nENTRYPOINT {text}\n"), ())
    adoption(repository(Dockerfile="FROM python:3\nCMD ./x.sh\n", x_sh=text), ())


@given(st.dictionaries(KEYS, VALUES, max_size=6), VALUES)
@settings(max_examples=100, deadline=None)
def test_any_shape_of_a_compose_file_is_read(service: dict[str, object], other: object) -> None:
    import yaml

    text = yaml.safe_dump({"services": {"web": service, "db": other}, "include": other})
    found = repository(compose_yaml=text, Dockerfile="FROM python:3\nCMD a\n")
    compose_facts(found, ("compose.yaml",))
    adoption(found, ("compose.yaml",))


MARKS = st.sampled_from(
    ['target "a"', 'variable "B"', "{", "}", "[", "]", "=", ",", '"${B}"', "\n"]
)
WORDS = st.sampled_from(
    ["matrix", "inherits", "args", "name", "a", "B", '"a"', "?", "/*", "<<X", "1"]
)


@given(st.lists(MARKS | WORDS, max_size=40).map(" ".join))
@settings(max_examples=100, deadline=None)
def test_any_text_of_a_bake_file_ends(text: str) -> None:
    docker = {"docker-bake_hcl": text, "Dockerfile": "FROM python:3\nCMD a\n"}
    adoption(repository(**docker), ())


@given(
    st.dictionaries(st.sampled_from(["strategy", "parallel", "steps", "script"]), VALUES), VALUES
)
@settings(max_examples=100, deadline=None)
def test_any_shape_of_a_pipeline_is_read(job: dict[str, object], other: object) -> None:
    import yaml

    given = {"uses": "docker/build-push-action", "with": {"context": other, "build-args": other}}
    jobs = {"a": job, "b": other, "c": {"strategy": {"matrix": other}, "steps": [given, other]}}
    found = repository(Dockerfile="FROM python:3\nARG A\nCMD a\n")
    adoption(replace(found, pipelines={"ci.yml": yaml.safe_dump({"jobs": jobs})}), ())
