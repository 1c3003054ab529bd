"""What each compression costs in time and in bytes: BuildKit itself exports the files of a real
image with each.

bench/README.md has the words for people.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import tables
from setting import MANIFEST, ROOT
from timed import FailedError, run, say

from slimbake import images
from slimbake.config import manifest
from slimbake.docker import BUILD_ENVIRONMENT
from slimbake.errors import SlimbakeError
from slimbake.fleet import resolve
from slimbake.images.model import Address
from slimbake.plan import plan

# Of zstd's levels BuildKit tells four apart: 1-2, 3-6, 7-8, and 9 or more.
SETTINGS = ("uncompressed", "gzip 1", "gzip 6", "gzip 9", "zstd 1", "zstd 3", "zstd 7", "zstd 9")


def main() -> int:
    """Measure, print the table, write the numbers."""
    whole = plan(resolve(manifest(ROOT / MANIFEST)))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--service", default="embedding", help="whose image, as the engine holds it [%(default)s]"
    )
    parser.add_argument("--image", help="another image of the engine")
    parser.add_argument("--settings", default=",".join(SETTINGS), help="[%(default)s]")
    parser.add_argument(
        "--runs", type=int, default=3, help="of each; the table has medians [%(default)s]"
    )
    arguments = parser.parse_args()
    image = arguments.image or f"{whole.registry}/{arguments.service}:latest"
    try:
        images.identity(image)
        # One setting after the other and all of that again, so that a busy minute does not hit one
        # alone.
        settings = arguments.settings.split(",")
        found = [(each, *exported(image, each)) for _ in range(arguments.runs) for each in settings]
    except FailedError as error:
        say(str(error))
        return 5
    except SlimbakeError as error:
        say(f"{error.message}\n{error.hint}")
        return error.exit_code
    report(image, settings, found)
    return 0


def exported(image: str, setting: str) -> tuple[float, int]:
    """Seconds of an export of an image's files as one layer, and the bytes of its blob.

    BuildKit compresses no layer twice, so it is a new one each time: in a folder with a name that
    nothing else has. Copying is not measured. What is left in the build cache is removed by its
    ids; nothing else of the cache is.
    """
    type_, _, level = setting.partition(" ")
    token = f"slimbake-bench-{uuid.uuid4().hex[:12]}"
    with tempfile.TemporaryDirectory(prefix="slimbake-bench-") as name:
        folder = Path(name)
        (folder / "Dockerfile").write_text(f"FROM scratch\nCOPY --from=source / /{token}/\n")
        words = [
            "docker",
            "buildx",
            "build",
            "--quiet",
            "--build-context",
            f"source=docker-image://{image}",
            name,
        ]
        compression = f"compression={type_}" + (f",compression-level={level}" if level else "")
        out = folder / "out"
        try:
            run([*words, "--output", "type=cacheonly"], folder, env=BUILD_ENVIRONMENT)
            output = f"type=oci,tar=false,oci-mediatypes=true,dest={out},{compression}"
            done = run([*words, "--output", output], folder, env=BUILD_ENVIRONMENT)
        finally:
            remove(token)
        assert done is not None  # no limit was set
        with images.opened(Address("layout", str(out)), images.this_platform()) as source:
            stored = sum(layer.stored for layer in source.images[0].layers)
    say(f"{setting}: {done.seconds:.1f} s, {stored / 1e6:.1f} MB")
    return done.seconds, stored


def remove(token: str) -> None:
    """Remove the records of the build cache that are about a token of ours."""
    shown = subprocess.run(
        ["docker", "buildx", "du", "--verbose"], capture_output=True, text=True, check=True
    ).stdout
    for record in shown.split("\n\n"):
        found = re.search(r"^ID:\s*(\S+)", record, re.MULTILINE)
        if found and token in record:
            subprocess.run(
                ["docker", "buildx", "prune", "--force", "--filter", f"id={found[1]}"],
                capture_output=True,
            )


def report(image: str, settings: list[str], found: list[tuple[str, float, int]]) -> None:
    """The table on stdout, all numbers in a file."""
    rows = list(table(settings, found))
    headings = ("compression", "export s", "MB", "bytes to zstd 7", "seconds to zstd 7")
    print(
        tables.markdown(f"The files of {image} as one layer, exported by BuildKit", headings, rows)
    )
    runs = [
        {"setting": setting, "seconds": seconds, "bytes": size} for setting, seconds, size in found
    ]
    say(f"all numbers: {tables.save('compression', {'image': image, 'runs': runs})}")


def table(settings: list[str], found: list[tuple[str, float, int]]) -> Iterator[tuple[str, ...]]:
    """A row for each setting, of medians."""

    def medians(setting: str) -> tuple[float | None, float | None]:
        runs = [(seconds, size) for each, seconds, size in found if each == setting]
        return tables.median(seconds for seconds, _ in runs), tables.median(
            size for _, size in runs
        )

    usual_seconds, usual_bytes = medians("zstd 7")
    for setting in settings:
        seconds, size = medians(setting)
        yield (
            setting,
            tables.seconds(seconds),
            tables.megabytes(size),
            tables.ratio(size, usual_bytes),
            tables.ratio(seconds, usual_seconds),
        )


if __name__ == "__main__":
    sys.exit(main())
