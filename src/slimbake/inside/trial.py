"""Tries passes on an image without any: on the writable layer of a container, which goes with it. Stdlib only.

`weigh`: a tar of what each pass removes or changes, `NUMBER/before/PATH` and `NUMBER/after/PATH`, goes to the pipe OUT.
`smoke`: the passes are applied, something is damaged where that is asked for, then the image's smoke runs as 65532.
What is asked for comes as JSON on standard input; the answer is the last line of standard output.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Mapping
from importlib.util import cache_from_source
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING or __package__:
    from .globs import matcher
    from .passes import Packages, Pass, PassError, apply, of_json, removed, stripped
else:
    from globs import matcher
    from passes import Packages, Pass, PassError, apply, of_json, removed, stripped

PREFIX = Path("/opt/slimbake")
TOOLS = Path("/inside/tools")
OUT = Path("/inside/out")
LAST_LINES = 12
TIME_LIMIT = "240"  # seconds; other trials run beside this one
OWNER = 65532
_LEVEL = re.compile(r"^smoke: (\w+) (holds|failed)(?: \((\d+\.\d+) s\))?$", re.MULTILINE)
IMPORTED = Path("/tmp/imported.json")  # noqa: S108 - a tmpfs of this container alone


def main() -> int:
    asked = json.load(sys.stdin)
    packages = Packages(PREFIX, (Path(f, name) for f, _, names in os.walk(PREFIX) for name in names))
    passes = [of_json(each) for each in asked["passes"]]
    if sys.argv[1] == "weigh":
        weigh(packages, passes)
    else:
        print(json.dumps(smoke(packages, passes, asked)))
    return 0


def weigh(packages: Packages, passes: list[Pass]) -> None:
    """Write the tar. A pass that cannot be applied is a member `NUMBER/error` that says why; what one that matches
    nothing may mean is in `NUMBER/near`. The last member is `end`.
    """
    with (
        OUT.open("wb") as out,
        tarfile.open(fileobj=out, mode="w|") as tar,
        tempfile.TemporaryDirectory(dir="/") as scratch,
    ):
        for number, each in enumerate(passes):
            try:
                names = removed(packages, each, compiled=True)
                if not names and each.remove:
                    _say(tar, f"{number}/near", ", ".join(near(packages, each.remove)))
                for name in names:
                    tar.add(packages.files[name], f"{number}/before/{name}", recursive=False)
                for name, made in stripped(packages, each, TOOLS, Path(scratch)) if each.strip else ():
                    tar.add(packages.files[name], f"{number}/before/{name}")
                    tar.add(made, f"{number}/after/{name}")
                    made.unlink()
            except PassError as error:
                _say(tar, f"{number}/error", str(error))
        tar.addfile(tarfile.TarInfo("end"))


def _say(tar: tarfile.TarFile, name: str, words: str) -> None:
    member = tarfile.TarInfo(name)
    member.pax_headers = {"comment": words}
    tar.addfile(member)


def near(packages: Packages, globs: Iterable[str]) -> list[str]:
    """What globs that match nothing may mean: where the first name that is not there has others like it beside it."""
    found = []
    for glob in globs:
        folder = packages.prefix if glob.startswith("/") else packages.site
        for part in glob.strip("/").split("/"):
            if "*" in part or "?" in part or not folder.is_dir():
                break
            if not (folder / part).exists():
                like = difflib.get_close_matches(part, (path.name for path in folder.iterdir()), 1)
                found += [packages.name(folder / name) for name in like]
                break
            folder = folder / part
    return found


def smoke(packages: Packages, passes: list[Pass], asked: Mapping[str, Any]) -> dict[str, Any]:
    """Apply, damage, and run the smoke: which level held, how long each took, and the last words of one that failed."""
    try:
        if asked.get("restore"):
            restore(packages)
        ledger = apply(packages, passes, TOOLS, compiled=True)
    except PassError as error:
        return {"held": False, "level": "apply", "error": str(error), "levels": {}}
    for harm in asked.get("damage", ()):
        damage(harm["how"], harm["what"], packages)
    environment = {
        **os.environ,
        "SMOKE_IMPORTED": str(IMPORTED),
        "SMOKE_TIME_LIMIT": TIME_LIMIT,
        **asked.get("env", {}),
    }
    done = subprocess.run(
        [sys.executable, *asked.get("program", ["/inside/smoke.py"]), "--as-nonroot"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False, env=environment,
    )  # fmt: skip
    ledgered = {"files": len(ledger), "bytes": sum(entry.before - entry.after for entry in ledger)}
    if done.returncode == 0 and asked.get("verify"):
        return {**verify(asked["verify"]), "levels": {}, **_imported(packages), **ledgered}
    levels = {level: float(seconds or 0) for level, how, seconds in _LEVEL.findall(done.stdout) if how == "holds"}
    failed = [level for level, how, _ in _LEVEL.findall(done.stdout) if how == "failed"]
    failed += ["time"] if "Timeout (" in done.stdout else []
    return {
        "held": done.returncode == 0,
        "level": "" if done.returncode == 0 else (failed or ["run"])[0],
        "error": "" if done.returncode == 0 else "\n".join(done.stdout.strip().splitlines()[-LAST_LINES:]),
        "levels": levels,
        **_imported(packages),
        **ledgered,
    }


def verify(asked: Mapping[str, str]) -> dict[str, Any]:
    """Run the service's verify as 65532: `program`, with what it is `given`, as in a final container."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", asked["program"]], input=asked["given"], capture_output=True, text=True,
        errors="replace", check=False, user=OWNER, group=OWNER, extra_groups=(),
    )  # fmt: skip
    try:
        said = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        said = {"holds": False, "error": "\n".join(done.stderr.splitlines()[-LAST_LINES:])}
    return {"held": said["holds"], "level": "" if said["holds"] else "verify", "error": said["error"]}


def restore(packages: Packages) -> None:
    """Put back files that passes removed or changed, from a tar as `weigh` writes it for one pass."""
    with tarfile.open("/inside/restored.tar") as tar:
        for member in tar:
            name = member.name.split("/", 2)[2]
            path = packages.prefix / name[1:] if name.startswith("/") else packages.site / name
            path.parent.mkdir(parents=True, exist_ok=True)
            content = tar.extractfile(member)
            path.unlink(missing_ok=True)
            path.write_bytes(content.read() if content else b"")
            path.chmod(member.mode)


def _imported(packages: Packages) -> dict[str, Any]:
    """What a smoke that held has imported: bytes by package, those of them in ELF files; sources without bytecode."""
    try:
        found = {packages.name(Path(file)) for file in json.loads(IMPORTED.read_text())} & packages.files.keys()
    except OSError:
        return {}
    modules = {name for name in found if packages.owner(name)[0]}
    owners = {packages.owner(name)[0] for name in modules}
    sizes = {name: path.stat().st_size for name, path in packages.files.items() if packages.owner(name)[0] in owners}
    sources = [name for name in modules if name.endswith(".py")]
    bare = [name for name in sources if not Path(cache_from_source(packages.files[name])).exists()]
    whole: dict[str, int] = dict.fromkeys(owners, 0)
    for name, size in sizes.items():
        whole[packages.owner(name)[0]] += size
    libraries = {name: size for name, size in sizes.items() if name in modules and name.endswith(".so")}
    return {
        "compiled": sum(sizes[name] for name in bare) / max(1, sum(sizes[name] for name in sources)),
        "packages": whole,
        "libraries": libraries,
    }


def damage(how: str, what: str, packages: Packages) -> None:
    """Harm the files of a package, or what an absolute glob names: `remove`, `corrupt` or `replace` them by nothing."""
    if what.startswith("/"):
        harms, top = matcher([what[1:]]), what.partition("*")[0].rpartition("/")[0]
        found = [Path(f, n) for f, _, names in os.walk(top) for n in names if harms(f"{f}/{n}"[1:])]
    else:
        found = [path for name, path in packages.files.items() if packages.owner(name)[0] == what]
    if not found:
        raise SystemExit(f"trial: nothing is there to be damaged: {what}")
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


if __name__ == "__main__":
    sys.exit(main())
