"""What a Dockerfile reads."""

import pytest

from slimbake.fingerprint.dockerfile import reads

PINNED = f"debian@sha256:{'0' * 64}"
LINKS = ("base", "inside", "Data")


@pytest.mark.parametrize(
    "text",
    [
        "FROM base",
        "FROM scratch",
        "FROM base AS one\nFROM --platform=linux/amd64 one\nCOPY --from=one /a /b",
        "FROM base AS One\nFROM one",
        "FROM base\nFROM base\nCOPY --from=0 /a /b",
        "from base as one\ncopy --from=ONE /a /b",
        f"FROM {PINNED}",
        f"ARG IMAGE={PINNED}\nFROM ${{IMAGE}}",
        "ARG IMAGE=debian:13\nFROM $IMAGE",  # it is given
        f"# syntax=docker/dockerfile:1@sha256:{'0' * 64}\nFROM base",
        "FROM base\nCOPY --from=data /a /b",
        "FROM base\nRUN --mount=type=bind,from=inside,source=x,target=/x true",
        "FROM base\nRUN --mount=type=cache,target=/c --mount=type=secret,id=x true",
        "FROM base\n# FROM debian:13\nRUN <<END\nFROM debian:13\nEND\nUSER 1",
        f"FROM base\nADD --checksum=sha256:{'0' * 64} https://example.com/a /a",
        "FROM base\nRUN one \\\n  # FROM debian:13\n  two",
        "# escape=`\nFROM base\nRUN a `\n  FROM debian:13",
    ],
)
def test_what_is_known(text: str) -> None:
    assert reads(text, LINKS, {"IMAGE": PINNED}).unknown == ()


@pytest.mark.parametrize(
    "text",
    [
        "FROM debian:13",
        "FROM debian",
        "FROM $TARGETARCH",
        "FROM",
        "FROM base\nCOPY --from=debian:13 /a /b",
        "FROM base\nRUN --mount=type=bind,from=debian,target=/x true",
        "FROM base\nRUN --mount=target=/x,from=debian true",
        "FROM base\nRUN --network=none --mount=type=cache,from=debian,target=/x true",
        'FROM base\nRUN --mount=type=bind,"from=debian",target=/x true',
        "FROM base\nADD https://example.com/a /a",
        "FROM base\nADD git@github.com:a/b.git /a",
        "FROM base\nADD --chown=1:1 \\\n  https://example.com/a /a",
        "# syntax=docker/dockerfile:1\nFROM base",
        "#syntax = docker/dockerfile:1\nFROM base",
        "FROM base AS one\nFROM \\\n  debian:13",
    ],
)
def test_what_is_not_known(text: str) -> None:
    assert len(reads(text, LINKS, {}).unknown) == 1


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ("COPY . /", True),
        ("COPY --chown=1:1 a b /", True),
        ("ADD a /", True),
        ("RUN --mount=type=bind,target=/x true", True),
        ("RUN --mount=target=/x true", True),
        ("ONBUILD COPY . /", True),
        ("COPY --from=data a /", False),
        ("RUN --mount=type=bind,from=data,target=/x true", False),
        ("RUN --mount=type=tmpfs,target=/tmp true", False),
        ("RUN cp --mount=type=bind,target=/x true", False),
        ("USER 1", False),
        # The first three begin no here-document, which would hide the step below them.
        ("RUN echo $((1<<N))\nCOPY . /", True),
        ('RUN echo "a <<END b"\nCOPY . /', True),
        ("RUN cat<<END\nCOPY . /", True),
        ("RUN cat <<'a b' 3<<-END\nCOPY . /\na b\nCOPY . /\n\tEND\nUSER 1", False),
    ],
)
def test_whether_the_context_is_read(step: str, expected: bool) -> None:
    assert reads(f"FROM base\n{step}\n", LINKS, {}).context is expected


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ("RUN --mount=type=bind,from=inside,source=a.py,target=/a true", {"a.py"}),
        (
            (
                "RUN --mount=from=inside,src=/locks/a.txt,target=/a \\\n"
                " --mount=from=inside,source=b,target=/b x"
            ),
            {"locks/a.txt", "b"},
        ),
        ("RUN --mount=type=bind,from=inside,target=/a true", {""}),
        ("RUN --mount=type=bind,from=inside,source=/,target=/a true", {""}),
        ("COPY --from=inside a.py /", {""}),
        ("FROM inside", {""}),
        ("USER 1", set()),
    ],
)
def test_which_files_of_inside_are_read(step: str, expected: set[str]) -> None:
    assert reads(f"FROM base\n{step}\n", LINKS, {}).inside == expected
