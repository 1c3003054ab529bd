"""What a RUN does, read by tree-sitter-bash: what is dropped, what is taken, what keeps the Dockerfile."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.ran import ran
from tests.unit.adopt.repositories import CMD, FILES, HEAD, PLAIN, draft, drafts, entry, why

from slimbake.adopt.shell import OnlyAShellError, steps

INDEX = "its packages come from an index that it names"


def words(text: str, **values: str) -> list[list[str]]:
    return [step.words for step in steps(text, "/app", values)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("set -e; a b\nc && d", ["set -e", "a b", "c", "d"]),
        ("a \\\n b `# why` c # why not", ["a b c"]),
        ("# one\na\n# two\nb", ["a", "b"]),
        ("deps='a b'; x $deps", ["x a b"]),
        ('A=1 B="$A 2"; x "$B" $B', ["x 1 2 1 2"]),
        ("export A=a; x ${A}/${B:-c}$N", ["x a/c$N"]),
        ("A=a x $A", ["x $A"]),
        ("x $EMPTY y", ["x y"]),
        ("{ a; b; } >/dev/null 2>&1", ["a", "b"]),
        ("[ $N = y ] && a", ["[ $N = y ]", "a"]),
        ("echo $(b c) d", ["b c", "echo $(b c) d"]),
        ("if [ a = b ]; then x; elif [ -z '' ]; then y; else z; fi", ["y"]),
        ("if [ a = b ]; then x; fi && y", ["y"]),
    ],
)
def test_a_text_becomes_plain_commands(text: str, found: list[str]) -> None:
    assert [" ".join(each) for each in words(text, EMPTY="")] == found


def test_quotes_keep_a_word_together() -> None:
    assert words('x \'a b\'"c d" e\\ f ""') == [["x", "a bc d", "e f", ""]]
    assert words("echo '\u2713 é' \U0001f600; y") == [["echo", "\u2713 é", "\U0001f600"], ["y"]]


def test_a_command_has_its_folder_its_variables_and_why_it_may_not_run() -> None:
    first, second = steps("cd src && A=1 x || y", "/app", {"B": "2"})
    assert (first.workdir, first.values, first.unsure) == ("/app/src", {"A": "1", "B": "2"}, "")
    assert (second.values, second.unsure) == ({"B": "2"}, "`||` before `y`")


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("a > b", "`>`"),
        ("a && b >> c", "`>>`"),
        ("a <<< b", "`<"),
        ("cat <<E\nx\nE", "`<<`"),
        ("a & b", "`&`"),
        ("a $(b)", "`$(`"),
        ("a `b`", "``"),
        ("a <(b)", "`<(`"),
        ("(a)", "`(`"),
        ("! a", "`!`"),
        ("while a; do b; done", "`while`"),
        ("case a in b) c;; esac", "`case`"),
        ("if a; then b; fi", "`if a`"),
        ("if [ $A = b ]; then c; fi", "`if [ $A = b ]`: its value is not known"),
        ("a || A=b", "`||` before `A=b`"),
        ("a || cd b && c", "`||` before `cd`"),
        ("A=b; A+=c", "`+=`"),
    ],
)
def test_what_only_a_shell_does_is_named(text: str, refused: str) -> None:
    try:
        found = steps(text, "/", {})
    except OnlyAShellError as error:
        assert str(error).startswith(refused)
    else:
        assert found[1].unsure.startswith(refused)


DEEP = 4000
HARMFUL = {
    "unclosed quotes": "a 'b",
    "an unclosed command": 'a "$(b',
    "zero bytes": "a\0b",
    "a long text": "a;" * 100_000,
    "one long word": "a" * 100_000,
    "parentheses": "(" * DEEP + "a" + ")" * DEEP,
    "braces": "{ " * DEEP + "a;" + "};" * DEEP,
    "conditions": "if [ a ]; then " * 700 + "a; " + "fi; " * 700,
    "joined": "a && " * (DEEP // 2) + "a",
    "pipes": "a|" * DEEP,
    "negations": "! " * DEEP + "a",
    "variables": "${A:-" * DEEP,
    "here-documents": "a <<E\n" * 1000,
    "letters after braces": "{\U00031860 {\U0010ffff",
    "no command": "&&",
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("harm", HARMFUL)
def test_a_text_that_means_harm_ends_in_words(tmp_path: Path, harm: str) -> None:
    with pytest.raises(OnlyAShellError):
        steps(HARMFUL[harm], "/", {})
    line = HARMFUL[harm].replace("\n", " ")
    found = draft(tmp_path, f"{HEAD}RUN {line}\n{CMD}")
    assert found.outcome == "own" or str(found.why[0].place) == "Dockerfile:5"


PIECES = [
    *("a", "b c", " ", "\n", "\\\n", ";", "&&", "||", "|", "&", "(", ")", "{ ", "; }", "'", '"', "\\", "$"),
    *("$A", "${A:-b}", "${", "}", "A=b", "export A", "`", "#", "if ", "[ a = b ]", "; then ", "; else ", "; fi"),
    *("elif ", "for a in b; do ", "done", "case a in ", "esac", "<<E\n", "\nE\n", ">x", "2>&1", "<(", "$((", "))"),
    *("cd x", "[[ ", " ]]", "test ", "!", "*", "~", "\0", "\r", "\t", "é", "\U0001f600", "f() { ", "$'", "{a,b}"),
]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=25).map("".join))
@example("A=" + "$A" * 3000)
@example("0|\x1f")
def test_any_text_becomes_commands_or_is_refused(text: str) -> None:
    try:
        found = steps(text, "/", {"A": "x y", "B": "'"})
    except OnlyAShellError as error:
        assert str(error)
        return
    assert all(step.words and step.workdir.startswith("/") for step in found)


PLAIN_PIECES = ["a", "b", " ", "  ", "'c d'", '"e  f"', "b\\ ", '"$A"', "${A}", "\\\n", " # g\n", "\n", "; ", " && ", "''", "A=h; "]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(PLAIN_PIECES), max_size=9).map("".join))
def test_plain_commands_have_the_words_that_a_shell_gives_them(text: str) -> None:
    try:
        found = words(text, A="x y")
    except OnlyAShellError:
        return
    named = [name for each in found for name in each[:1]]
    if not all(name.isalpha() for name in named) or set(named) & {"c d", "e  f"}:
        return
    body = "{ printf '%s\\0' {name} \"$@\"; printf '\\n\\0'; }"
    functions = "".join(f"{name}() {body.replace('{name}', name)}\n" for name in {*named})
    done = ran(["/bin/sh", "-c", functions + text], env={"A": "x y"})
    given = [line.strip("\0").split("\0") for line in done.stdout.split("\n\0") if line]
    expected = ["\0".join(each).strip("\0").split("\0") for each in found]
    assert done.returncode or given == expected


@pytest.mark.parametrize(
    "step",
    [
        "usermod -u 1001 shop",
        "git clone https://example.com/x",
        "curl https://example.com/x.sh | sh",
        "echo make | sh",
        "sh /app/other.sh",
        "curl https://astral.sh/uv/install.sh -o i && echo make | sh",
        "id shop || useradd shop",
    ],
)
def test_what_is_not_known_to_leave_nothing_is_not_dropped(tmp_path: Path, step: str) -> None:
    found = draft(tmp_path, f"{HEAD}RUN {step}\n{CMD}")
    assert found.outcome == "kept" or step in str(found.entry["build"])


@pytest.mark.parametrize(
    ("lines", "noted"),
    [
        ("ENV PIP_INDEX_URL=https://pypi.example.com/simple", True),
        ("ARG PIP_EXTRA_INDEX_URL", True),
        ("ARG UV_DEFAULT_INDEX=https://pypi.example.com/simple", True),
        ("RUN pip config set global.index-url https://pypi.example.com/simple", True),
        ("RUN export PIP_INDEX_URL=https://pypi.example.com/simple && pip install more", True),
        ("RUN PIP_INDEX_URL=https://pypi.example.com/simple pip install more", True),
        ("ENV PIP_NO_CACHE_DIR=1", False),
    ],
)
def test_an_index_of_variables_is_noted_once(tmp_path: Path, lines: str, noted: bool) -> None:
    text = PLAIN.replace("RUN", f"{lines}\nRUN pip install other\nRUN")
    assert [each.what for each in draft(tmp_path, text).notes] == [INDEX] * noted


@pytest.mark.parametrize("folder", ["/tmp", "/usr/src", "/app", "/code"])  # noqa: S108
def test_a_file_is_copied_into_a_folder_that_the_image_has(tmp_path: Path, folder: str) -> None:
    text = (
        f"FROM python:3.12-slim\nCOPY lib /code/lib\nWORKDIR /app\nCOPY requirements.txt {folder}\n"
        f"RUN pip install -r {folder}/requirements.txt && rm -rf lib\nWORKDIR /code\n"
        f'CMD ["python", "lib/x.py"]\n'
    )
    listed = entry(tmp_path, text, {**FILES, "lib/x.py": ""})["requirements"]
    assert listed in ("requirements.txt", ["requirements.txt"], "../requirements.txt")


def test_a_target_of_compose_has_its_default(tmp_path: Path) -> None:
    text = "services:\n  web: {build: {context: ., target: '${T:-prod}'}}\n"
    dockerfile = PLAIN.replace("slim", "slim AS prod") + "FROM node AS dev\n"
    [found] = drafts(tmp_path, {**FILES, "Dockerfile": dockerfile, "compose.yaml": text}).values()
    assert found.outcome == "own"


@pytest.mark.parametrize(
    ("command", "found"),
    [
        ('[".venv/bin/uvicorn", "main:app"]', ["uvicorn", "main:app"]),
        ("./.venv/bin/uvicorn main:app", ["uvicorn", "main:app"]),
        ('["sh", "-c", "uv run uvicorn main:app"]', ["uvicorn", "main:app"]),
        ('["/bin/bash", "-c", "exec uvicorn main:app"]', ["uvicorn", "main:app"]),
        ("uv run --no-sync main.py --port $PORT", ["sh", "-c", "python main.py --port $PORT"]),
        (
            "poetry run alembic upgrade head && uv run uvicorn main:app",
            ["sh", "-c", "alembic upgrade head && uvicorn main:app"],
        ),
    ],
)
def test_a_command_is_the_program_that_the_image_has(
    tmp_path: Path, command: str, found: Any
) -> None:
    text = f"{HEAD}ENV UV_PROJECT_ENVIRONMENT=/app/.venv PORT=80\nCMD {command}\n"
    assert entry(tmp_path, text)["command"] == found


def test_a_runner_that_init_cannot_take_away_keeps_the_dockerfile(tmp_path: Path) -> None:
    found = why(tmp_path, f"{HEAD}CMD a && uv run --with x y\n")
    assert found == "Dockerfile:5: `uv run`: the image does not have it"


def test_the_text_of_a_shell_that_a_command_starts_is_read() -> None:
    text = "bash -c \"if [ $DEV == 'true' ]; then a; else b --only main; fi\""
    assert words(text, DEV="false") == [["b", "--only", "main"]]
