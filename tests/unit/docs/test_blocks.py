"""Code in README.md and docs/: commands are known, YAML keeps the schemas, Python runs."""

import hashlib
import importlib.resources
import io
import json
import re
import shlex
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import jsonschema
import pytest
import yaml
from click.testing import CliRunner
from tests.ran import ran
from tests.unit.docs.pages import ROOT, Block, blocks, commands

from slimbake.adopt.writer import SCHEMA_LINE
from slimbake.cli import slimbake
from slimbake.config import MANIFEST_SCHEMA

SCHEMA = json.loads(MANIFEST_SCHEMA.read_text("utf-8"))
REQUIRED: dict[str, Any] = {"project": "mine", "python": "3.11", "services": {}}
# What reads this repository only, and needs no engine.
READ = ("check", "plan", "layers", "lock")


def words(call: str) -> list[str]:
    """The words after `slimbake`, without a comment, a pipe or a redirection."""
    plain = re.split(r"  #|\s[<>|;&]", call.replace("[TARGET]...", ""))[0]
    return shlex.split(plain)[1:]


def parsed(group: click.Group, rest: list[str], above: click.Context) -> click.Context:
    """The context of the command that these words call; raises UsageError where they do not."""
    name, *arguments = rest
    command = group.get_command(above, name)
    if command is None:
        raise click.UsageError(f"no command {name}")
    if isinstance(command, click.Group):
        return parsed(command, arguments, click.Context(command, parent=above))
    return command.make_context(name, arguments, parent=above)


@pytest.mark.parametrize(("place", "call"), sorted(set(commands())))
def test_every_command_is_one_that_slimbake_knows(place: str, call: str) -> None:
    rest = words(call)
    if not rest or rest[0].isupper() or rest[0].startswith("-"):  # `slimbake COMMAND --help`
        return
    try:
        parsed(slimbake, rest, click.Context(slimbake, info_name="slimbake"))
    except click.exceptions.MissingParameter:
        assert f"`{call}`" in (ROOT / place.partition(":")[0]).read_text("utf-8"), "only in prose"
    except click.exceptions.Exit:  # --help
        pass


def reading() -> list[str]:
    """The calls that only read, each once."""
    known = {" ".join(words(call)) for _, call in commands()}
    known = {call for call in known if call.partition(" ")[0] in READ}
    # --what-if asks the index, --since a commit
    return sorted(
        c for c in known if not c.startswith(("lock", "layers --", "plan --since", "check --"))
    )


@pytest.mark.parametrize("call", [*reading(), "lock --check"])
def test_a_reading_command_works_on_the_example(call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    done = CliRunner().invoke(slimbake, call.split(), catch_exceptions=False)
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("block", blocks("yaml"), ids=str)
def test_yaml_keeps_the_schema(block: Block) -> None:
    value = yaml.safe_load(block.text) or {}
    if re.match(r"# (compose\.yaml|output|\.github|\.pre-commit)", block.text):
        assert isinstance(value, dict)
    else:
        service = SCHEMA["$defs"]["service"]["properties"]
        if not value.keys() <= SCHEMA["properties"].keys():
            assert value.keys() <= service.keys(), f"{block} is no part of a manifest"
            value = {"services": {"it": {"context": "it", **value}}}
        assert "project" not in value or block.text.startswith(SCHEMA_LINE), f"{block}: no schema"
        jsonschema.validate({**REQUIRED, "registry": "example.com/it", **value}, SCHEMA)


@pytest.mark.parametrize("block", blocks("json"), ids=str)
def test_json_is_json(block: Block) -> None:
    assert json.loads(block.text)


def renovate() -> tuple[Block, dict[str, Any]]:
    """What a page says to write into renovate.json."""
    [block] = [each for each in blocks("json") if "renovate" in each.text]
    return block, json.loads(block.text)


def dependabot() -> tuple[Block, dict[str, Any]]:
    """What a page says to write into .github/dependabot.yml."""
    [block] = [each for each in blocks("yaml") if "dependabot.yml" in each.text]
    return block, yaml.safe_load(block.text)


@pytest.mark.parametrize(
    ("bot", "schema", "good", "bad"),
    [
        (renovate, "vendor.renovate", '"7 days"', "7"),
        (dependabot, "vendor.dependabot", "package-ecosystem", "package-ecosystems"),
    ],
)
def test_settings_of_bots_keep_the_schemas_of_these(
    bot: Callable[[], tuple[Block, dict[str, Any]]],
    schema: str,
    good: str,
    bad: str,
    tmp_path: Path,
) -> None:
    block, _ = bot()
    codes = []
    for text in (block.text, block.text.replace(good, bad)):
        (tmp_path / "settings.yaml").write_text(text)  # JSON is YAML
        words = ("-m", "check_jsonschema", "--builtin-schema", schema, tmp_path / "settings.yaml")
        codes.append(ran([sys.executable, *words]).returncode)
    assert codes == [0, 1]


def test_renovate_knows_each_of_its_settings() -> None:  # its schema allows others
    file = importlib.resources.files("check_jsonschema.builtin_schemas.vendor") / "renovate.json"
    known = json.loads(file.read_text("utf-8"))["properties"]
    assert renovate()[1].keys() - known.keys() == {"$schema"}


def test_bots_leave_bake_alone_and_rebase_over_the_commit_that_locks() -> None:
    pipeline = (ROOT / ".github/workflows/bake.yml").read_text("utf-8")
    [author] = renovate()[1]["gitIgnoredAuthors"]
    assert f'user.email="{author}"' in pipeline
    assert "[dependabot skip]" in pipeline
    assert "bake/**" in renovate()[1]["ignorePaths"]
    folders = [folder for each in dependabot()[1]["updates"] for folder in each["directories"]]
    assert folders and not [
        folder for folder in folders if folder.startswith(("/bake", "/*", "**"))
    ]


def test_renovate_finds_the_externals_of_a_manifest() -> None:
    settings = renovate()[1]
    pattern = settings["customManagers"][0]["matchStrings"][0].replace("(?<", "(?P<")
    found = re.search(pattern, (ROOT / "services.yaml").read_text("utf-8"))
    assert found
    assert found.groupdict() == {"depName": "python", "currentValue": "3.11-slim-trixie"}


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_python_runs(block: Block, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    names: dict[str, Any] = {}
    content = b"a model"
    address = "https://example.com/model.bin"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["fetch.py", address, hashlib.sha256(content).hexdigest()])
    monkeypatch.setattr(urllib.request, "urlopen", lambda _: io.BytesIO(content))
    exec(compile(block.text, str(block), "exec"), names)  # noqa: S102 - that is what is tested
    kinds = {"load", "verify", "embed"} & names.keys()
    assert kinds or "urlopen" in block.text, f"{block} is of a kind that this test does not know"
    if "urlopen" in block.text:
        assert (tmp_path / "model.bin").read_bytes() == content
    if "load" in names:
        names["imports"]()
        names["load"]()
        names["parity"](names["reference"]())
    if "verify" in names:
        names["verify"](service())
    if "embed" in names:
        assert len(names["embed"](["a", "b"])) == len(names["ids"](["a", "b"])) == 2


def test_there_is_python_of_each_kind() -> None:
    shown = "".join(block.text for block in blocks("python"))
    assert all(f"def {name}(" in shown for name in ("load", "verify", "embed"))
    assert "urlopen" in shown


def service() -> SimpleNamespace:
    """As much of a verify's service as the page calls: a search with a storage behind it."""
    state = SimpleNamespace(alive=True, asked=[])

    def answer(path: str) -> SimpleNamespace:
        state.asked.append(SimpleNamespace(path="/count"))
        status = 200 if state.alive else 503
        return SimpleNamespace(status=status, json=lambda: {"hits": ["a"]}, text="")

    def upstream(answers: Callable[..., Any], variable: str) -> SimpleNamespace:
        assert answers("GET", "/count", None)
        assert variable == "STORAGE_URL"
        return SimpleNamespace(asked=state.asked, down=lambda: setattr(state, "alive", False))

    return SimpleNamespace(get=answer, post=lambda path, _: answer(path), upstream=upstream)
