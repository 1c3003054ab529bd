"""Tries passes on an image without any: on the writable layer of a container, which goes with it.

Both programs read what to do as JSON from standard input.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

from ..globs import matcher
from ..passes import (
    LayerFiles,
    LayerPass,
    PassError,
    apply_passes,
    files_to_remove,
    parse_pass,
    strip_files,
)
from ..step import INSIDE, PREFIX
from .smoke import asked_smoke, judge_smoke, words
from .surroundings import as_service

OUT = INSIDE / "out"
LAST_LINES = 12
TIME_LIMIT = 240.0  # seconds; other trials run at the same time


def weigh_passes(_: Sequence[str]) -> None:
    """The program `weigh`: a tar of what each pass removes or changes, to the pipe OUT.

    Its members are `NUMBER/before/PATH` and `NUMBER/after/PATH`. For a pass that cannot be applied
    there is `NUMBER/error`, which says why; for one that matches nothing `NUMBER/near`, which says
    what its globs may mean. The last member is `end`.
    """
    layer, passes = LayerFiles.of_image(PREFIX), _asked_passes(json.load(sys.stdin))
    with (
        OUT.open("wb") as out,
        tarfile.open(fileobj=out, mode="w|") as tar,
        tempfile.TemporaryDirectory(dir="/") as scratch,
    ):
        for number, each in enumerate(passes):
            try:
                names = files_to_remove(layer, each, compiled=True)
                if not names and each.remove:
                    _say(tar, f"{number}/near", ", ".join(similar_names(layer, each.remove)))
                for name in names:
                    tar.add(layer.files[name], f"{number}/before/{name}", recursive=False)
                smaller = strip_files(layer, each, Path(scratch)) if each.strip else ()
                for name, made in smaller:
                    tar.add(layer.files[name], f"{number}/before/{name}")
                    tar.add(made, f"{number}/after/{name}")
                    made.unlink()
            except PassError as error:
                _say(tar, f"{number}/error", str(error))
        tar.addfile(tarfile.TarInfo("end"))


def _asked_passes(asked: Mapping[str, Any]) -> list[LayerPass]:
    return [parse_pass(each) for each in asked["passes"]]


def _say(tar: tarfile.TarFile, name: str, words: str) -> None:
    member = tarfile.TarInfo(name)
    member.pax_headers = {"comment": words}
    tar.addfile(member)


def similar_names(layer: LayerFiles, globs: Iterable[str]) -> Iterator[str]:
    """For globs that match nothing: names like the first one that is missing, beside it."""
    for glob in globs:
        folder = layer.prefix if glob.startswith("/") else layer.site
        for part in glob.strip("/").split("/"):
            if "*" in part or "?" in part or not folder.is_dir():
                break
            if not (folder / part).exists():
                there = (path.name for path in folder.iterdir())
                for name in difflib.get_close_matches(part, there, 1):
                    yield layer.name(folder / name)
                break
            folder = folder / part


def try_passes(_: Sequence[str]) -> None:
    """The program `try`: apply passes, damage files where asked for, and run the smoke as 65532.

    The answer, the last line of standard output, is JSON: whether it held, which level failed with
    its last words, how long each level took.
    """
    asked = json.load(sys.stdin)
    print(json.dumps(outcome(LayerFiles.of_image(PREFIX), _asked_passes(asked), asked)))


def outcome(
    layer: LayerFiles, passes: Sequence[LayerPass], asked: Mapping[str, Any]
) -> dict[str, Any]:
    """Apply, damage, run the smoke, and then the verify if one is asked for."""
    try:
        if asked.get("restore"):
            restore_files(layer)
        entries = apply_passes(layer, passes, compiled=True)
    except PassError as error:
        return {"held": False, "level": "apply", "error": str(error), "levels": {}}
    for harm in asked.get("damage", ()):
        damage_files(harm["how"], harm["what"], layer)
    smoke = asked_smoke()
    environment = {**os.environ, **asked.get("env", {})}
    limit = float(asked.get("env", {}).get("SLIMBAKE_LIMIT", TIME_LIMIT))
    with tempfile.TemporaryFile("w+", errors="replace") as said:
        judged = judge_smoke(
            smoke, limit, nonroot=True, environment=environment, output=said.fileno()
        )
        said.seek(0)
        lines = [*said.read().strip().splitlines(), *words(judged, smoke["name"])]
    figures = {
        **_imported(layer, judged.report),
        "files": len(entries),
        "bytes": sum(entry.before - entry.after for entry in entries),
    }
    if not judged.failed and asked.get("verify"):
        return {**_verify(asked["verify"]), "levels": {}, **figures}
    return {
        "held": not judged.failed,
        "level": judged.failed,
        "error": "\n".join(lines[-LAST_LINES:]) if judged.failed else "",
        "levels": judged.levels,
        **figures,
    }


def _verify(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Run the service's verify as its user, as a final container runs it."""
    done = subprocess.run(
        [sys.executable, *asked["arguments"]],
        input=asked["stdin"],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        **as_service(),
    )
    try:
        said = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        last_lines = "\n".join(done.stderr.splitlines()[-LAST_LINES:])
        said = {"holds": False, "error": last_lines}
    level = "" if said["holds"] else "verify"
    return {"held": said["holds"], "level": level, "error": said["error"]}


def restore_files(layer: LayerFiles) -> None:
    """Put back files that passes removed or changed, from a tar as `weigh` writes for one pass."""
    with tarfile.open(INSIDE / "restored.tar") as tar:
        for member in tar:
            name = member.name.split("/", 2)[2]
            path = layer.prefix / name[1:] if name.startswith("/") else layer.site / name
            path.parent.mkdir(parents=True, exist_ok=True)
            content = tar.extractfile(member)
            path.unlink(missing_ok=True)
            path.write_bytes(content.read() if content else b"")
            path.chmod(member.mode)


def _imported(layer: LayerFiles, report: Any) -> dict[str, Any]:
    """What a smoke that held imported, by its report.

    Bytes by package; bytes of the ELF files among them; the share of sources without bytecode.
    """
    if not isinstance(report, list):
        return {}
    imported = {layer.name(Path(file)) for file in report if isinstance(file, str)}
    modules = {name for name in imported & layer.files.keys() if layer.owner(name)[0]}
    packages = dict.fromkeys((layer.owner(name)[0] for name in modules), 0)
    sizes = {}
    for name, path in layer.files.items():
        if (package := layer.owner(name)[0]) in packages:
            sizes[name] = path.stat().st_size
            packages[package] += sizes[name]
    sources = [name for name in modules if name.endswith(".py")]
    bare = (name for name in sources if not Path(cache_from_source(layer.files[name])).exists())
    return {
        "compiled": sum(sizes[name] for name in bare) / max(1, sum(sizes[n] for n in sources)),
        "packages": packages,
        "libraries": {n: sizes[n] for n in sizes if n in modules and n.endswith(".so")},
    }


def damage_files(how: str, what: str, layer: LayerFiles) -> None:
    """Harm the files of a package, or those that an absolute glob names.

    `how`: `remove` them, `corrupt` their middle, or `replace` them by empty files.
    """
    if what.startswith("/"):
        harms, top = matcher([what[1:]]), Path(what.partition("*")[0].rpartition("/")[0])
        paths = (Path(f, name) for f, _, names in os.walk(top) for name in names)
        found = [path for path in paths if harms(str(path)[1:])]
    else:
        top = layer.site
        found = [path for name, path in layer.files.items() if layer.owner(name)[0] == what]
    if not found:
        raise SystemExit(f"trial: there is nothing to damage: {what}")
    for path in found:
        if how == "remove":
            path.unlink()
        elif how == "replace":
            path.write_bytes(b"")
        else:
            with path.open("r+b") as file:
                middle = path.stat().st_size // 2
                file.seek(middle)
                some = file.read(4096)
                file.seek(middle)
                file.write(bytes(byte ^ 0x55 for byte in some))
    if how == "remove":  # an empty folder is a namespace package, and its import holds
        emptied = {folder for path in found for folder in path.parents if top in folder.parents}
        for folder in sorted(emptied, reverse=True):  # what is inside before what it is in
            with contextlib.suppress(OSError):  # it has more in it
                folder.rmdir()
