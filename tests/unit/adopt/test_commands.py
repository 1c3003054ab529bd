"""Commands without a shell: what can be said in words, and what cannot."""

from __future__ import annotations

import pytest

from slimbake.adopt.choices import others
from slimbake.adopt.code import Code, NeedsShell, Unreadable
from slimbake.adopt.commands import Plainly, Shellless, port_of, served
from slimbake.adopt.model import Command, Place, Served
from slimbake.adopt.shell import expand, only_words, simple_commands, with_exec
from slimbake.config.shells import reaped

AT = Place("Dockerfile", 9)
SCRIPTS = {
    "./docker-entrypoint.sh": '#!/bin/bash\nset -e\npython manage.py migrate\nexec "$@"\n',
    "start.sh": "#!/bin/sh\nexport A=1\ncd src\nexec gunicorn app:app -b 0.0.0.0:${PORT:-8000}\n",
    "case.sh": '#!/bin/sh\nset -e\ncase "$1" in\n  serve|web)\n    echo up\n    exec uvicorn a:b\n    ;;\n'
    '  manage) shift; exec python manage.py "$@" ;;\n'
    '  job-*) exec python -m $NAME ;;\n  *)\n    exec "$@"\n    ;;\nesac\n',
    "set.sh": '#!/bin/sh\ncase "$1" in\n  web) set -- gunicorn "$@" ;;\nesac\nexec "$@"\n',
    "maybe.sh": '#!/bin/sh\nif [ "${1#-}" != "$1" ]; then\n  set -- app "$@"\nfi\nexec "$@"\n',
    "defaults.sh": '#!/bin/sh\n: "${DB_URL:=sqlite:///x}" "${KEPT=no}"\nexport DB_URL KEPT\n'
    'echo "starting" 1>&2\necho ready > /data/started\nexec python -m app\n',
    "unknown.sh": '#!/bin/sh\n: "${WORKERS:=$(nproc)}"\nexport WORKERS\n: > /data/x\n'
    "export $(cat .env | xargs)\nexec python -m app\n",
    "if.sh": '#!/bin/sh\nset -e\nif [ "$1" = "web" ]; then\n  exec gunicorn a:b\n'
    'elif [ "$1" = cron ]; then exec python -m cron\nelif [[ "$1" == man* ]]; then\n  shift\n'
    '  exec python manage.py "$@"\nfi\nexec "$@"\n',
    "test.sh": '#!/bin/sh\nif test "${1:-web}" = web -o x$1 = xserve; then\n  exec gunicorn a:b\nelse\n'
    '  if [ "$1" = cron ] || [ "$1" = beat ]; then exec python -m $1; fi\n  if [ $# -gt 1 ] && [[ $1 =='
    ' "manage" || $1 == m ]]; then\n    exec python manage.py "${@:2}"\n  fi\n  exec "$@"\nfi\n',
    "one.sh": '#!/bin/sh\nif [ "$1" != "web" ]; then\n  if [ "$1" = manage ]; then\n    shift\n'
    '    set -- python manage.py "$@"\n  fi\n  if [ "$1" = cron ]; then\n    set -- python -m cron\n'
    '  fi\n  exec "$@"\nfi\ngunicorn a:b\nexit 0\n',
    "either.sh": '#!/bin/sh\nif [ "$1" = "web" ] && [ -n "$DEBUG" ]; then\n  exec a\nfi\nexec "$@"\n',
    "broken.sh": '#!/bin/sh\nif [ "$1" = a ]; then exec a\nelif [ "$1" = web ]; fi\nexec "$@"\n',
    "named.sh": '#!/bin/sh\nmode="$1"\nif [ "$mode" = web ]; then exec a; fi\nexec b\n',
    "shifted.sh": '#!/bin/sh\nset -e\ncmd="${1:-web}"\nshift\n'
    'echo "starting $cmd"\ncase "$cmd" in\n  web) exec a "$@" ;;\n  *) exec python -m ${cmd} "$@" ;;\nesac\n',
    "rename.sh": '#!/bin/sh\nmode=$1\nmode=${mode#x}\nif [ "$mode" = web ]; then exec a; fi\nexec b\n',
    "late.sh": '#!/bin/sh\nshift\nmode=$1\nif [ "$mode" = web ]; then exec a; fi\nexec b\n',
    "within.sh": '#!/bin/sh\nif x; then\nmode=$1\nfi\n[ "$mode" = web ] && exec a\nexec b\n',
    "rest.sh": '#!/bin/sh\nwait_for() {\n  nc "$1"\n}\nexec python -m "$2"\n',
    "two.sh": '#!/bin/sh\nshift 2\nexec "$@"\n',
    "options.sh": '#!/bin/sh\nshift $((OPTIND - 1))\nexec "$@"\n',
    "and.sh": '#!/bin/sh\n[ -n "$DEBUG" ] && shift\nexec "$@"\n',
    "perhaps.sh": '#!/bin/sh\nif [ -x "$(command -v $1)" ]; then\n  set -- app "$@"\nfi\nexec "$@"\n',
    "debug.sh": '#!/bin/sh\nwait_for() { nc $1 5432; }\nif [ "$DEBUG" = 1 ]; then\n  shift\n'
    '  exec python -m debugpy app.py\nfi\nwait_for db\nexec "$@"\n',
    "files.sh": "#!/bin/sh\nrm -f /tmp/x.pid /run/y tmp/server.pid\nrm -rf /tmp/*\n"
    "rm -f /data/lock\nmkdir -p /data/in\nexec app\n",
    "put.sh": '#!/bin/sh\nset -- gunicorn -b "0.0.0.0:${2:-80}" "$1"\nexec "$@"\n',
    "word.sh": '#!/bin/sh\nif [ "$1" = web ]; then\n  C="gunicorn a:b"\nelse\n  C="$@"\nfi\n'
    "exec $C\n",
    "split.sh": '#!/bin/sh\nset -- $APP "$@"\nexec "$@"\n',
    "later.sh": '#!/bin/sh\nif [ "${1#-}" != "$1" ]; then set -- web "$@"; fi\nshift\nset -- "$1" "$@"\n'
    'case "$1" in\n  web) exec a ;;\n  *) exec b ;;\nesac\n',
    "default.sh": '#!/bin/sh\ncase "${1:-api}" in\n  api) exec api ;;\n  migrate)\n    shift\n'
    '    exec alembic upgrade "${1:-head}" $2 "$@"\n    ;;\nesac\n',
    "and-exec.sh": '#!/bin/sh\n[ "$1" = web ] && exec gunicorn a:b\n'
    '[ "$1" = cron ] && shift && exec python -m cron "$@"\n[ $# -gt 0 ] || exec beat; exec "$@"\n',
    "and-set.sh": '#!/bin/sh\n[ "${1#-}" = "$1" ] || set -- app "$@"\n[ "$1" = web ] && set -- a "$@"\n'
    'exec "$@"\n',
    "and-or.sh": '#!/bin/sh\n[ "$1" = web ] && exec a || exec b\n',
    "and-block.sh": '#!/bin/sh\n[ "$1" = web ] && { exec a; }\nexec "$@"\n',
    "and-more.sh": '#!/bin/sh\n[ "$1" = web ] && [ -x /a ] && shift\nexec "$@"\n',
    "choose.sh": '#!/bin/sh\nif [ "$1" = web ]; then\n  exec a\nfi\n',
}


def plainly(*words: str, text: bool = False, **values: str) -> Plainly:
    def script(path: str) -> tuple[str, Place] | None:
        return (SCRIPTS[path], Place(path, 1)) if path in SCRIPTS else None

    reader = Shellless(Code(".", "/code", ()), values, script, "web")
    return reader.plainly(Command(words, text, AT))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("gunicorn app:app --bind 0.0.0.0:8000", "gunicorn app:app --bind 0.0.0.0:8000"),
        ("exec python3 -m app", "python -m app"),
        ("python /code/main.py", "python /app/main.py"),
        ("/code/.venv/bin/uvicorn 'a:b'", "uvicorn a:b"),
        ("uvicorn a:b --port ${PORT:-80}", "uvicorn a:b --port 80"),
        ("uvicorn a:b --port $N", "uvicorn a:b --port 7"),
        ("uvicorn $OPTIONS ${NONE:-}", "uvicorn --host ::"),
        ("tini -- poetry run celery -A x worker", "celery -A x worker"),
        ("uv run --no-sync --package p p-cli", "p-cli"),
        ("./main.py --x", "python ./main.py --x"),
        ("bash -lc 'exec app'", "app"),
    ],
)
def test_a_text_for_a_shell_becomes_words(text: str, words: str) -> None:
    assert plainly(text, text=True, N="7", OPTIONS="--host ::").words == tuple(words.split())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("app | tee log", "`app | tee log` needs a shell"),
        ("app > log 2>&1", "`app > log 2>&1` needs a shell"),
        ("app & other", "`app & other` needs a shell"),
        ("a || b", "`a || b` needs a shell"),
        ("wait", "`wait` needs a shell"),
        ("a &\n b &\n wait", "`wait` needs a shell"),
        (":", "`:` needs a shell"),
        ("app --n $(nproc)", "`app --n $(nproc)` needs a shell"),
        ("app $UNSET", "a shell fills in $UNSET"),
        ("app --x=$SPACED", "`--x=$SPACED` needs a shell"),
        ("${NONE:-}", "`${NONE:-}` needs a shell"),
        ("choose.sh", "`fi` needs a shell"),
        ("cron -f", "`cron` starts jobs as root, by a table"),
        ("/init app", "/init is a program that the build context does not have"),
        ("cron && tail -f /log", "`tail` is no program of slimbake's images"),
    ],
)
def test_what_needs_a_shell_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(Unreadable) as refused:
        plainly(text, text=True, SPACED="a b")
    assert refused.value.note.what == why
    assert refused.value.note.advice.endswith("keeps its Dockerfile")


def test_what_ran_before_the_service_is_reported() -> None:
    found = plainly("python manage.py migrate && exec gunicorn a.wsgi", text=True)
    assert found.words == ("gunicorn", "a.wsgi")
    assert [note.what for note in found.notes] == ["`python manage.py migrate`"]


def test_a_virtual_environment_needs_no_activation() -> None:
    found = plainly(". /venv/bin/activate && exec gunicorn a.wsgi", text=True)
    assert (found.words, found.notes) == (("gunicorn", "a.wsgi"), ())


def test_exec_form_is_taken_as_it_stands() -> None:
    assert plainly("app", "--x", "$HOME").words == ("app", "--x", "$HOME")
    assert plainly("sh", "-c", "exec app $N", N="1").words == ("app", "1")


def test_a_script_that_starts_what_follows_it_gives_way_to_that() -> None:
    found = plainly("./docker-entrypoint.sh")
    assert found.passes
    assert [(note.place, note.what) for note in found.notes] == [
        (Place("./docker-entrypoint.sh", 3), "`python manage.py migrate`")
    ]


def test_the_last_line_of_a_script_is_the_command() -> None:
    found = plainly("start.sh")
    assert found.words == ("gunicorn", "app:app", "-b", "0.0.0.0:8000")
    assert found.env == (("A", "1"),)
    assert found.workdir == "src"
    assert found.notes == ()


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ("web", "uvicorn a:b"),
        ("job-x", "python -m jobs"),
        ("manage check -v", "python manage.py check -v"),
        ("top", "top"),
    ],
)
def test_a_script_that_chooses_by_its_first_word_is_what_the_word_chooses(
    chosen: str, words: str
) -> None:
    found = plainly("case.sh", *chosen.split(), NAME="jobs")
    assert found.words == tuple(words.split())
    [note] = found.notes
    assert str(note).startswith("case.sh:3: case.sh chooses by its first word what it starts")
    assert f"what `{chosen.split()[0]}` chooses: write a service" in note.advice
    assert note.advice.endswith(" or start that by hand: `slimbake run web COMMAND ...`")


@pytest.mark.parametrize(
    ("script", "known", "left"),
    [
        ("case.sh", "", "manage job-*"),
        ("case.sh", "manage job-a", ""),
        ("if.sh", "cron", "man*"),
        ("test.sh", "", "cron beat manage m"),
        ("named.sh", "", ""),
        ("default.sh", "x", "api migrate"),
        ("default.sh", "", "migrate"),  # "" chooses api
    ],
)
def test_the_choices_of_a_script_that_no_service_makes(script: str, known: str, left: str) -> None:
    assert others(SCRIPTS[script], ("web",), known.split() or [""]) == tuple(left.split())


def test_arguments_that_a_script_changes() -> None:
    assert plainly("set.sh", "web").words == ("gunicorn", "web")
    assert plainly("set.sh", "other", "-x").words == ("other", "-x")
    assert plainly("maybe.sh", "--port=1").words == ("app", "--port=1")
    assert plainly("maybe.sh", "other").notes == ()
    assert plainly("rest.sh", "-v", "check").words == ("python", "-m", "check")
    assert plainly("two.sh", "a", "b", "c", "d").words == ("c", "d")
    assert plainly("word.sh", "web").words == ("gunicorn", "a:b")
    assert plainly("split.sh", "-x y", APP="app a:b").words == ("app", "a:b", "-x y")
    assert plainly("later.sh", "-x", "cron").words == ("b",)
    assert plainly("later.sh", "x", "web").words == ("a",)
    assert plainly("put.sh", "a:b").words == ("gunicorn", "-b", "0.0.0.0:80", "a:b")
    assert plainly("default.sh", "migrate").words == ("alembic", "upgrade", "head")
    assert plainly("default.sh", "migrate", "x").words == ("alembic", "upgrade", "x", "x")
    with pytest.raises(NeedsShell):
        plainly("two.sh", "a", "b")
    assert plainly("and-set.sh", "-x").words == ("app", "-x")
    assert plainly("and-set.sh", "web").words == ("a", "web")
    assert plainly("and-set.sh", "b").words == ("b",)
    assert plainly("named.sh", "web").words == ("a",)
    assert plainly("named.sh", "x").words == ("b",)
    assert plainly("shifted.sh", "web", "-x").words == ("a", "-x")
    assert plainly("shifted.sh", "cron").words == ("python", "-m", "cron")
    for script in ("perhaps.sh", "and.sh", "options.sh"):
        with pytest.raises(NeedsShell):
            plainly(script, "--port=1")


def test_arguments_are_not_read_as_the_text_of_a_script() -> None:
    for script in ("if.sh", "set.sh", "case.sh"):
        words = ("python", "-c", 'print("$1", "$HOME")')
        assert plainly(script, *words, HOME="/root").words == words


@pytest.mark.parametrize("of", ["if.sh", "test.sh", "one.sh"])
@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("web", "gunicorn a:b"),
        ("cron", "python -m cron"),
        ("manage check -v", "python manage.py check -v"),
        ("top -x", "top -x"),
    ],
)
def test_a_script_that_chooses_by_if_is_what_its_first_word_chooses(
    of: str, given: str, words: str
) -> None:
    found = plainly(of, *given.split())
    assert found.words == tuple(words.split())
    [note] = found.notes
    assert note.what == f"{of} chooses by its first word what it starts"


@pytest.mark.parametrize(
    ("given", "words", "line"),
    [("web", "gunicorn a:b", 2), ("cron -v", "python -m cron -v", 2), ("top -x", "top -x", 2)],
)
def test_a_script_that_chooses_by_and_is_what_its_first_word_chooses(
    given: str, words: str, line: int
) -> None:
    found = plainly("and-exec.sh", *given.split())
    assert found.words == tuple(words.split())
    assert [note.place for note in found.notes] == [Place("and-exec.sh", line)]
    for script in ("and-or.sh", "and-block.sh", "and-more.sh"):
        with pytest.raises(NeedsShell):
            plainly(script, "web")


def test_an_if_that_the_arguments_do_not_decide_needs_a_shell_where_it_reads_them() -> None:
    with pytest.raises(NeedsShell) as refused:
        plainly("either.sh", "web")
    assert refused.value.note.what == "`if [ $1 = web ]` needs a shell"
    assert refused.value.note.place == Place("either.sh", 2)
    with pytest.raises(NeedsShell) as refused:
        plainly("rename.sh", "web")
    assert refused.value.note.what == "`mode=$1` needs a shell"
    for script in ("broken.sh", "late.sh", "within.sh"):
        with pytest.raises(NeedsShell):
            plainly(script, "web", "web")


def test_what_a_condition_of_a_script_does_is_one_note_without_a_job_of_its_own() -> None:
    found = plainly("debug.sh")
    assert found.passes
    assert [note.what for note in found.notes] == ['`if [ "$DEBUG" = 1 ]; then`', "`wait_for db`"]
    assert not [note for note in found.notes if "slimbake run" in note.advice]


@pytest.mark.parametrize(
    ("words", "port"),
    [
        ("uvicorn a:b --port 80", 80),
        ("gunicorn a:b -b :81", 81),
        ("gunicorn a:b --bind=0.0.0.0:82", 82),
        ("python manage.py runserver 0.0.0.0:83", 83),
        ("streamlit run a.py --server.port=84", 84),
        ("celery -A a worker", None),
    ],
)
def test_the_port_is_what_the_command_names(words: str, port: int | None) -> None:
    assert port_of(tuple(words.split())) == port


def test_quotes_operators_and_nested_defaults() -> None:
    found = simple_commands("A='x y' cmd \"a $B\" '$C' d\\ e # no\nnext;last\x0bword")
    assert [each.words for each in found] == [
        ("cmd", "a $B", "\0C", "d e"),
        ("next",),
        ("last", "word"),
    ]
    assert found[0].assignments == (("A", "x y"),)
    assert expand("${A:-${B:-c}}/$D${E:+f}", {"E": "1", "D": ""}) == ("c/f", ())


@pytest.mark.parametrize(
    ("written", "last"),
    [
        ("python - <<'PY' || exit 1\nfor x in y:\n  # don't\nPY\n", ("exit", "1")),
        ("cat <<-A <<B > /x; one\n\trm\n\tA\nmv\nB\n", ("one",)),
        ("grep x <<< y\n", ("grep", "x")),
        ("cat <<END\nrm\n", ("cat",)),
    ],
)
def test_a_here_document_is_no_command(written: str, last: tuple[str, ...]) -> None:
    found = simple_commands(written)
    assert found[-1].words == last
    after = simple_commands(f'{written}END\nexec "$@"')
    assert [each.words for each in after[-1:]] == [("exec", "$@")]
    assert not {each.words[0] for each in after} & {"for", "rm", "mv", "PY", "B"}


def test_a_here_document_before_the_service_is_one_note() -> None:
    text = "python - <<'PY'\nimport os, time\nif os:\n    time.sleep(1)\nPY\nserve --fast"
    found = plainly(text, text=True)
    assert found.words == ("serve", "--fast")
    assert [(note.place.line, note.what) for note in found.notes] == [(9, "`python - <<'PY'`")]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("uvicorn app.main:api --port 80", Served("app.main", "api")),
        ("gunicorn app.wsgi", Served("app.wsgi", "application")),
        ("uvicorn main:api --app-dir src", Served("main", "api", "src")),
        ("celery -A app.main worker", Served("app.main")),
        ("python -m app", Served("app", main=True)),
        ("python src/main.py", Served("main", "", "src")),
        ("fastapi run app/main.py", Served("app.main")),
        ("streamlit run src/main.py", Served("main", "", "src")),
        ("nginx -g x:y", None),
    ],
)
def test_the_modules_that_a_command_names(words: str, found: Served | None) -> None:
    files = {"app/__init__", "app/main", "app/wsgi", "src/main", "app"}

    def known(module: str, folder: str) -> bool:
        return "/".join(filter(None, (folder, module.replace(".", "/")))) in files

    assert served(tuple(words.split()), known) == ((found,) if found else ())


def test_a_default_that_a_script_exports_is_a_variable_and_a_file_that_it_writes_a_note() -> None:
    found = plainly("sh", "defaults.sh", KEPT="yes")
    assert (found.words, found.env) == (("python", "-m", "app"), (("DB_URL", "sqlite:///x"),))
    assert [note.what for note in found.notes] == ["`echo ready > /data/started`"]


def test_what_only_a_shell_knows_of_a_script_is_a_note_and_needs_none() -> None:
    found = plainly("sh", "unknown.sh")
    assert (found.words, found.env) == (("python", "-m", "app"), ())
    assert [note.what for note in found.notes] == [
        "`export WORKERS`",
        "`: > /data/x`",
        "`export $(cat .env | xargs)`",
    ]


@pytest.mark.parametrize(
    ("words", "started"),
    [
        ("python -m app", "python -m app"),
        ("tini -g -- python -m app", "python -m app"),
        ("tini -g -e 143 -- python -m app", "python -m app"),
        ("/usr/bin/dumb-init gunicorn app:app", "gunicorn app:app"),
        ("tini --", ""),
        ("", ""),
    ],
)
def test_what_a_program_starts_that_only_reaps(words: str, started: str) -> None:
    assert reaped(words.split()) == tuple(started.split())


def test_what_a_script_removes_that_no_new_container_has_is_no_note_and_rm_no_job() -> None:
    found = plainly("files.sh")
    assert [note.what for note in found.notes] == ["`rm -f /data/lock`", "`mkdir -p /data/in`"]
    assert found.notes[1].advice == (
        "slimbake's images have no `mkdir`: if it is still needed, do it in the service's own code"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('gunicorn -c x.py "web:create_app()"', ("gunicorn", "-c", "x.py", "web:create_app()")),
        ("exec a '$x' # runs", ("a", "$x")),
        ("a --x=$Y", ()),
        ("A=1 a", ()),
        ("a && b", ()),
        ("a *.py", ()),
        ("exec -a x y", ()),
        ("cd x", ()),
        ("exit 1", ()),
        ("", ()),
    ],
)
def test_words_are_all_that_a_shell_needs_for_one_program(
    text: str, words: tuple[str, ...]
) -> None:
    assert only_words(text) == words


@pytest.mark.parametrize(
    ("text", "replaced"),
    [
        ("a $X", "exec a $X"),
        ("b=1 a $X > log", "b=1 exec a $X > log"),
        ("cd x && a 'b c'", "cd x && exec a 'b c'"),
        ('test -f x || a "$X()"', 'test -f x || exec a "$X()"'),
        ("beside & a", "beside & exec a"),
    ],
)
def test_the_last_program_of_a_text_takes_the_shell_s_place(text: str, replaced: str) -> None:
    assert with_exec(text) == replaced


@pytest.mark.parametrize(
    "text",
    [
        *("exec a $X", "a | b", "a &", "(cd x; a)", "a; exit 1", "if x; then a; fi", "a; wait"),
        *("f() { a; }; f", "trap b TERM; a", "cat <<E\nx\nE\n", "A=1", ""),
    ],
)
def test_a_shell_that_has_more_to_do_stays(text: str) -> None:
    assert with_exec(text) == text
