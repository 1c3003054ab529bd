"""What a person meets first: groups of commands, examples, words that lead on, completion, colour."""

import json
import os
import pty
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from shutil import which

import click
import pytest
from click.testing import CliRunner
from tests.ran import ran

from slimbake.cli import slimbake
from slimbake.cli.commands import GROUPS
from slimbake.errors import UsageError

PROGRAM = Path(sys.executable).with_name("slimbake")


def commands(group: click.Group = slimbake, *above: str) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command
        yield " ".join((*above, name)), command
        if isinstance(command, click.Group):
            yield from commands(command, *above, name)


EVERY = dict(commands())


def said(*words: str) -> str:
    return CliRunner().invoke(slimbake, words, prog_name="slimbake").output


def test_help_lists_every_command_in_its_group() -> None:
    lines = said("--help").splitlines()
    for title, group in GROUPS.items():
        at = lines.index(f"{title}:") + 1
        assert [line.split()[0] for line in lines[at : at + len(group)]] == list(group)
    assert max(map(len, lines)) <= 80


JOB = {"id": "1", "name": "api", "services": "api", "lane": "l", "runner": "", "platform": ""}


@pytest.mark.parametrize("name", EVERY)
def test_each_command_has_two_valid_examples(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOB", json.dumps(JOB))  # as a pipeline gives it
    epilog = EVERY[name].epilog or ""
    typed = [line.strip()[2:] for line in epilog.splitlines() if line.startswith("  $ ")]
    assert len(typed) == 2
    for line in typed:
        words = shlex.split(line.partition("$(")[2].partition(")")[0] or line)
        words = words[1 : words.index(">") if ">" in words else None]
        command: click.Command = slimbake
        context = click.Context(slimbake, info_name="slimbake")
        while isinstance(command, click.Group):
            _, found, words = command.resolve_command(context, words)
            assert found
            command = found
        assert EVERY[name] in (command, context.command) or name == "ci"
        command.make_context(command.name, words, parent=context)  # or it raises UsageError


@pytest.mark.parametrize("name", EVERY)
def test_the_help_of_every_command_fits_80_columns(name: str) -> None:
    assert max(map(len, said(*name.split(), "--help").splitlines())) <= 80


def test_there_are_no_more_commands_and_options_than_a_person_can_survey() -> None:
    leaves = [each for each in EVERY.values() if not isinstance(each, click.Group)]
    assert 0 < len(leaves) <= 26
    assert sum(len(each.params) for each in leaves) <= 115
    assert len(EVERY["bake"].params) <= 13


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("bakr", " Did you mean 'slimbake bake'?"),
        ("chekc", " Did you mean 'slimbake check'?"),
        ("xyzzyx", ""),
        ("login", ""),
    ],
)
def test_a_word_that_is_no_command_leads_on(word: str, hint: str) -> None:
    assert said(word).strip().endswith(f"No such command '{word}'.{hint}")


def test_a_service_that_resembles_none_gets_some_names(tmp_path: Path) -> None:
    (tmp_path / "api").mkdir()
    names = [f"s{number}: {{context: api, command: [python, -V]}}" for number in range(30)]
    file = tmp_path / "services.yaml"
    file.write_text(f'project: x\npython: "3.11"\nservices: {{{", ".join(names)}}}\n')
    error = CliRunner().invoke(slimbake, ["plan", "zzz", "--manifest", str(file)]).exception
    assert isinstance(error, UsageError) and error.hint.endswith("s18, s19 and 10 more")


MANIFEST = """\
project: toy
python: "3.11"
bases: {web: {requirements: [httpx]}}
services:
  api: {context: api, command: [python, -V]}
  model: {context: api, command: [python, -V], variants: {cpu: {}, gpu: {env: {A: b}}}}
"""
COMPLETES = """
eval "$(slimbake completion bash)"
COMP_WORDS=({words})
COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
_slimbake_completion slimbake
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("slimbake ba", ["bake"]),
        ("slimbake ci pl", ["plan"]),
        ("slimbake bake --keep", ["--keep-going"]),
        ("slimbake bake m", ["model", "model-gpu"]),
        ("slimbake sizes mo", ["model", "model-gpu"]),
        ("slimbake add x --base w", ["web"]),
    ],
)
def test_bash_completes_names_and_options(words: str, offered: list[str], tmp_path: Path) -> None:
    (tmp_path / "api").mkdir()
    (tmp_path / "services.yaml").write_text(MANIFEST)
    path = f"{PROGRAM.parent}:{os.environ['PATH']}"
    program = ["bash", "--norc", "-c", COMPLETES.format(words=words)]
    done = ran(program, cwd=tmp_path, env={"PATH": path, "HOME": str(tmp_path)}, check=True)
    assert done.stdout.split() == offered, done.stderr


def completed(root: Path, shell: str, **asks: str) -> subprocess.CompletedProcess[str]:
    """How the program answers the completion of a shell in a folder."""
    variables = {**os.environ, **asks, "_SLIMBAKE_COMPLETE": f"{shell}_complete"}
    return ran([PROGRAM], cwd=root, env=variables)


@pytest.mark.parametrize(
    ("shell", "word", "offered"),
    [("zsh", "2", "plain\nmodel-gpu\n_"), ("fish", "model-", "plain,model-gpu")],
)
def test_others_complete(shell: str, word: str, offered: str, tmp_path: Path) -> None:
    assert f"_SLIMBAKE_COMPLETE={shell}_complete" in said("completion", shell)
    (tmp_path / "api").mkdir()
    (tmp_path / "services.yaml").write_text(MANIFEST)
    done = completed(tmp_path, shell, COMP_WORDS="slimbake bake model-", COMP_CWORD=word)
    assert done.stdout.strip() == offered, done.stderr


@pytest.mark.skipif(not which("zsh"), reason="zsh is not installed")
def test_a_zsh_without_a_configuration_takes_its_script(tmp_path: Path) -> None:
    words = 'eval "$(slimbake completion zsh)"; print -- $_comps[slimbake]'
    path = f"{PROGRAM.parent}:{os.environ['PATH']}"
    done = ran(["zsh", "-f", "-c", words], env={"PATH": path, "HOME": str(tmp_path)})
    assert (done.stdout.strip(), done.stderr) == ("_slimbake_completion", "")


def test_a_broken_manifest_completes_nothing(tmp_path: Path) -> None:
    (tmp_path / "services.yaml").write_text("services: [")
    done = completed(tmp_path, "bash", COMP_WORDS="slimbake bake a", COMP_CWORD="2")
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")


def on_a_terminal(*words: str, **env: str) -> bytes:
    """What a command writes to a terminal."""
    ours, theirs = pty.openpty()
    variables = dict(os.environ)
    variables.pop("NO_COLOR", None)
    variables |= env
    try:
        subprocess.run([PROGRAM, *words], stdout=theirs, stderr=theirs, env=variables, check=False)
        return os.read(ours, 100_000)
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_terminal_has_colour_unless_no_color_is_set() -> None:
    assert b"\x1b[31mError: No such command" in on_a_terminal("nothing")
    assert b"\x1b[" not in on_a_terminal("nothing", NO_COLOR="1")


def test_what_is_no_terminal_has_no_colour() -> None:
    done = ran([PROGRAM, "nothing"])
    assert "\x1b" not in done.stderr
    assert done.returncode == 2


def test_without_a_command_there_is_help_and_no_error() -> None:
    done = ran([PROGRAM])
    assert done.stdout.startswith("Usage: slimbake")
    assert (done.stderr, done.returncode) == ("", 2)
