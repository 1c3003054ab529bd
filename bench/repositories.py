"""What `slimbake init` makes of repositories that lie in folders: outcomes, counted.

bench/README.md has the words for people.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import tables

from slimbake.adopt.init import InitRequest, Started, start
from slimbake.config import manifest
from slimbake.errors import ManifestError, UsageError

_NOT_PYTHON = "no RUN installs packages of Python"
LIMIT = 900  # seconds of a bake
# What the exit code of a bake says of its only service.
ENDS = {0: "started", 6: "built", 124: "out of time"}


def main() -> int:
    """Look at each repository, print the table, write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folders", nargs="+", type=Path, help="repositories, as they lie")
    parser.add_argument("--bake", action="store_true", help="bake each service that becomes own")
    parser.add_argument("--only", default="", help="with --bake: services whose name matches this")
    parser.add_argument(
        "--python",
        action="append",
        help="with --bake: a version whose image is here, in place of those that are not; repeatable",
    )
    arguments = parser.parse_args()
    bakes: list[list[str]] = []
    rows, whys, total = [], Counter[str](), Counter[str]()
    refused = 0
    for folder in arguments.folders:
        try:
            decided = start(folder / "services.yaml", InitRequest())
        except UsageError as error:
            print(f"{folder.name}: {error.message}", file=sys.stderr)
            continue
        refused += not _is_valid(folder, decided)
        if arguments.bake:
            bakes += _bakes(folder, decided, arguments.only, arguments.python or ())
        found = Counter(_outcome(decided))
        total += found
        whys.update(
            _kind(each.why[0].what)
            for each in decided.drafts
            if each.why and _NOT_PYTHON not in each.why[0].what
        )
        rows.append(
            [
                "@".join(called(folder)),
                *(str(found[name]) for name in COLUMNS),
            ]
        )
    own = total["own"] + total["own, with a shell"]
    share = f"{own / max(1, own + total['kept']):.0%}"
    rows.append(["all", *(str(total[name]) for name in COLUMNS)])
    headings = ("repository", *COLUMNS)
    print(tables.markdown("What `slimbake init` makes of them", headings, rows))
    print(f"Of services of Python, {share} became own.")
    print()
    kept = [[why, str(number)] for why, number in whys.most_common()]
    print(tables.markdown("What keeps services of Python", ("why", "services"), kept))
    if bakes:
        ends = Counter(bake[3] for bake in bakes)
        print(tables.markdown("Baked", ("repository", "service", "Python", "end", "why"), bakes))
        print(", ".join(f"{number} {end}" for end, number in ends.items()))
    tables.save("repositories", {"rows": rows, "whys": dict(whys), "bakes": bakes})
    return 1 if refused else 0


COLUMNS = ("own", "own, with a shell", "kept", "kept, not Python")


def _bakes(
    folder: Path, decided: Started, only: str, pythons: Sequence[str]
) -> Iterator[list[str]]:
    """Bake each service that slimbake builds, alone, with the fleet's Python, in a copy of its
    repository in which nothing else is edited.
    """
    [fleet] = re.findall(r'(?m)^python: "(.*)"$', decided.text)
    python = fleet if fleet in pythons or not pythons else pythons[-1]
    for draft in decided.drafts:
        if draft.outcome == "kept" or not re.search(only, draft.name):
            continue
        with TemporaryDirectory(prefix="slimbake-bench-") as apart:
            copy = shutil.copytree(folder, Path(apart, folder.name), symlinks=True)
            text = start(copy / "services.yaml", InitRequest(service=draft.name)).text
            text = re.sub(r'(?m)^python: ".*"$', f'python: "{python}"', text)
            (copy / "services.yaml").write_text(text)
            words = ["timeout", "--signal=INT", "--kill-after=20", str(LIMIT), sys.executable]
            words += ["-m", "slimbake", "bake", draft.name]
            done = subprocess.run(words, cwd=copy, capture_output=True, text=True, check=False)
        end = ENDS.get(done.returncode, "not built")
        named = re.findall(r"(?m)^(?:slimbake|\S+:\d+(?::\d+)?): .*(?:\n  .*)*", done.stderr)
        why = "" if end == "started" else " ".join("\n".join(named).split())[:400]
        given = draft.python if draft.python in ("", python) else f"{python} for {draft.python}"
        row = [called(folder)[0], draft.name, given or python, end, why]
        print(" | ".join(row), file=sys.stderr)
        yield row


def _outcome(decided: Started) -> list[str]:
    """The column of each service."""
    return [
        "kept, not Python" if each.why and _NOT_PYTHON in each.why[0].what else each.outcome
        for each in decided.drafts
    ]


def _kind(what: str) -> str:
    """Why a service is kept, without what is its own."""
    words = what.split()
    if words[0] == "RUN" and words[1:3] != ["needs", "a"]:
        return f"RUN {words[1]}"
    for kind in (
        "names",
        "is copied to",
        "is made in",
        "has Python",
        "RUN needs a shell",
        "has no",
    ):
        if kind in what:
            return kind
    return what[:40]


def _is_valid(folder: Path, decided: Started) -> bool:
    """Whether the manifest's reader takes what was decided, in a folder that is left as it was."""
    with TemporaryDirectory(dir=folder, prefix=".slimbake-bench-") as apart:
        file = Path(apart, "services.yaml")
        file.write_text(decided.text)
        beside = folder / f".{file.parent.name}.yaml"
        try:
            file.rename(beside)
            manifest(beside)
        except ManifestError as error:
            print("\n".join(map(str, error.problems)), file=sys.stderr)
            return False
        finally:
            beside.unlink(missing_ok=True)
    return True


def called(folder: Path) -> tuple[str, str]:
    """The name and the commit of a repository: as the file COMMIT in it says, else as Git does."""
    if (folder / "COMMIT").is_file():
        *name, commit = (folder / "COMMIT").read_text().split()
        return name[0] if name else folder.name, commit[:9]
    words = ["git", "-C", str(folder), "rev-parse", "--short=9", "HEAD"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return folder.name, done.stdout.strip() if (folder / ".git").exists() else ""


if __name__ == "__main__":
    sys.exit(main())
