"""What a scanner sees of images: Debian and Python packages, by trivy, and files with set-uid.
bench/README.md has the words for people.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from pathlib import Path
from typing import IO, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import tables
from bench.empty import remove_made
from bench.setting import copied, images, prepared
from bench.sides import python_image, sides
from bench.timed import FailedError, run, say

from slimbake.docker.command import call
from slimbake.errors import SlimbakeError

SERVICES = ("api", "embedding")
SIDES = ("one by one", "slimbake")
OFFLINE = ("--quiet", "--offline-scan", "--skip-db-update", "--skip-version-check")
SET_ID = 0o6000  # set-uid, set-gid


def main() -> int:
    """Build the images, print the table, write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("services", nargs="*", default=SERVICES)
    parser.add_argument("--record", action="store_true", help="write bench/results/scan.json")
    parser.add_argument("--keep", action="store_true", help="leave the images in the engine")
    asked = parser.parse_args()
    trivy = shutil.which("trivy", path=Path(sys.executable).parent) or shutil.which("trivy")
    if not trivy:
        say("trivy is not on PATH")
        return 7
    try:
        with tempfile.TemporaryDirectory(prefix="slimbake-bench-") as scratch:
            found = measured(trivy, tuple(asked.services), Path(scratch))
    except FailedError as error:
        say(str(error))
        return 5
    except SlimbakeError as error:
        say(f"{error.message}\n{error.hint}".rstrip())
        return error.exit_code
    finally:
        if not asked.keep:
            remove_made()
    print(tables.markdown("What a scanner sees", HEADINGS, map(row, found["images"])))
    say(f"all numbers: {tables.save('scan', found, stamped=not asked.record)}")
    return 0


HEADINGS = ("image", "side", "Debian packages", "Python packages", "set-uid files")


def row(image: dict[str, Any]) -> tuple[str, ...]:
    """An image's line of the table."""
    counts = (image["debian"], image["python"], len(image["set_id"]))
    return (image["name"], image["side"], *map(str, counts))


def measured(trivy: str, services: tuple[str, ...], scratch: Path) -> dict[str, Any]:
    """Build the services on both sides, and scan them and the Python image that all start from."""
    root = copied(scratch / "copy")
    for command in ("lock", "generate"):
        run([sys.executable, "-m", "slimbake", command], root)
    setting = prepared(root, scratch)
    name = python_image(setting).partition("@")[0]
    base = setting.python.removeprefix("docker-image://")
    found = [scanned(trivy, base, name, "", scratch)]
    for side in sides(setting, SIDES):
        say(f"{side.name}: building {', '.join(services)}")
        side.release(services)
        for service, image in images(services, side.repository).items():
            found.append(scanned(trivy, image, service, side.name, scratch))
    return {
        "scanner": f"trivy {json.loads(call_of(trivy, '--version', '--format=json'))['Version']}",
        "stand_in": "python" in setting.around.standins,
        "images": sorted(found, key=lambda image: bool(image["side"])),
    }


def scanned(trivy: str, image: str, name: str, side: str, scratch: Path) -> dict[str, Any]:
    """What trivy finds in an image, and its files with set-uid or set-gid."""
    say(f"scanning {name} {side}".rstrip())
    saved, report = scratch / "image.tar", scratch / "trivy.json"
    call("save", "--output", str(saved), image)
    files = (f"--cache-dir={scratch}/trivy", f"--input={saved}", f"--output={report}")
    call_of(trivy, "image", "--format=cyclonedx", *OFFLINE, *files)
    saved.unlink()
    counts = kinds(json.loads(report.read_text()))
    return {
        "name": name,
        "side": side,
        "debian": counts["deb"],
        "python": counts["pypi"],
        "set_id": exported(image),
    }


def kinds(document: dict[str, Any]) -> Counter[str]:
    """How many packages of each ecosystem a CycloneDX document names; each version counts once."""
    addresses = set[str]()
    waiting: list[dict[str, Any]] = list(document.get("components", ()))
    while waiting:
        component = waiting.pop()
        waiting.extend(component.get("components", ()))
        if "purl" in component:
            addresses.add(component["purl"])
    return Counter(address.removeprefix("pkg:").partition("/")[0] for address in addresses)


def exported(image: str) -> list[str]:
    """The files of an image with set-uid or set-gid."""
    container = call("create", "--network=none", image, "true").strip()
    try:
        words = ("docker", "export", container)
        with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
            assert process.stdout
            return set_id(process.stdout)
    finally:
        call("rm", "--force", container)


def set_id(archive: IO[bytes]) -> list[str]:
    """The paths of a tar archive's files with set-uid or set-gid."""
    with tarfile.open(fileobj=archive, mode="r|") as members:
        return sorted(f"/{each.name}" for each in members if each.isfile() and each.mode & SET_ID)


def call_of(*words: str) -> str:
    """What a program prints. Raises FailedError with its words where it fails."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise FailedError(f"{' '.join(words[:2])} failed\n{done.stderr[-2000:]}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
