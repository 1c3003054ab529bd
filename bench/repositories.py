"""What `slimbake init` makes of repositories that lie in folders: outcomes, counted.

bench/README.md has the words for people.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import tables

from slimbake.adopt.init import InitRequest, Started, start
from slimbake.config import manifest
from slimbake.errors import ManifestError, UsageError

_NOT_PYTHON = "which is more or other than Python"


def main() -> int:
    """Look at each repository, print the table, write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folders", nargs="+", type=Path, help="repositories, as they lie")
    arguments = parser.parse_args()
    rows, whys, total = [], Counter[str](), Counter[str]()
    refused = 0
    for folder in arguments.folders:
        try:
            decided = start(folder / "services.yaml", InitRequest())
        except UsageError as error:
            print(f"{folder.name}: {error.message}", file=sys.stderr)
            continue
        refused += not _is_valid(folder, decided)
        found = Counter(_outcome(decided))
        total += found
        whys.update(
            _kind(each.why.what)
            for each in decided.drafts
            if each.why and _NOT_PYTHON not in each.why.what
        )
        rows.append(
            [
                "@".join(_called(folder)),
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
    tables.save("repositories", {"rows": rows, "whys": dict(whys)})
    return 1 if refused else 0


COLUMNS = ("own", "own, with a shell", "kept", "kept, not Python")


def _outcome(decided: Started) -> list[str]:
    """The column of each service."""
    return [
        "kept, not Python" if each.why and _NOT_PYTHON in each.why.what else each.outcome
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


def _called(folder: Path) -> tuple[str, str]:
    """The name and the commit of a repository: as the file COMMIT in it says, else as Git does."""
    if (folder / "COMMIT").is_file():
        *name, commit = (folder / "COMMIT").read_text().split()
        return name[0] if name else folder.name, commit[:9]
    words = ["git", "-C", str(folder), "rev-parse", "--short=9", "HEAD"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return folder.name, done.stdout.strip() if (folder / ".git").exists() else ""


if __name__ == "__main__":
    sys.exit(main())
