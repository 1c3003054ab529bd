"""Files, working folder, command, port and user of slimbake's services, beside their Dockerfiles'.

A twin is a service's Dockerfile without what only a network can give: its RUN lines, and what it
copies of other images; its image begins empty. Beside it stands the service's image without
packages. A file counts as there where the image has its content, wherever that lies.

bench/README.md has the words for people.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import yaml
from bench import tables
from bench.repositories import called

from slimbake.adopt.init import InitRequest, start
from slimbake.adopt.model import Draft
from slimbake.errors import SlimbakeError
from slimbake.fingerprint.instructions import Instruction, instructions
from slimbake.images.streams import plain
from slimbake.inside.globs import matcher
from slimbake.plan.targets import NOT_CODE

PROJECT = "slimbake-twin"
KEPT = ("COPY", "ADD", "WORKDIR", "ENV", "ARG", "CMD", "ENTRYPOINT", "EXPOSE", "USER")
WITHOUT = ("requirements", "system", "wheels", "healthcheck", "torch", "smoke")
OURS = ("opt/slimbake/", "usr/", "lib/", "lib64/", "etc/", "var/", "home/app/")  # of the runtime
PLAIN = re.compile(r"(?:exec )?([\w ./:=-]+)")
PYTHON = re.compile(r"(?:\S*/)?python[\d.]*")
HEADINGS = (
    *("repository", "service", "files", "left out", "missing", "more"),
    *("working folder", "command", "port", "user"),
)


@dataclass(frozen=True)
class Image:
    """What an image holds and starts."""

    files: dict[str, str]  # path: digest of its content
    folder: str
    command: list[str]
    ports: list[str]
    user: str

    @classmethod
    def of(cls, layout: Path) -> Image:
        """Of an OCI layout in a tar."""
        with tarfile.open(layout) as archive:

            def blob(digest: str) -> Any:
                return archive.extractfile(f"blobs/sha256/{digest.removeprefix('sha256:')}")

            index = archive.extractfile("index.json")
            document = json.load(index) if index else {}
            while "manifests" in document:
                document = json.load(blob(document["manifests"][0]["digest"]))
            config = json.load(blob(document["config"]["digest"]))["config"]
            files: dict[str, str] = {}
            for layer in document["layers"] or ():
                stored = plain(io.BufferedReader(blob(layer["digest"])))
                with tarfile.open(fileobj=stored, mode="r|") as tar:
                    files |= dict(_contents(tar))
        words = [*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ())]
        if words[:2] == ["/bin/sh", "-c"]:  # one plain program needs no shell
            words[0] = "sh"
            words = plain_words[1].split() if (plain_words := PLAIN.fullmatch(words[2])) else words
        command = ["python" if PYTHON.fullmatch(word) else word for word in words]
        folder = (config.get("WorkingDir") or "/").strip("/")
        user = (config.get("User") or "root").partition(":")[0]
        return cls(files, folder, command, sorted(config.get("ExposedPorts") or ()), user)

    def beside(self) -> set[str]:
        """The contents of what lies in its working folder."""
        return {digest for path, digest in self.files.items() if _folder(path) == self.folder}


def main() -> int:
    """Compare each service that slimbake builds with its twin, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folders", nargs="+", type=Path, help="repositories, as they lie")
    parser.add_argument("--only", default="", help="services whose name matches this")
    parser.add_argument("--python", default="3.13", help="a version whose image is here")
    arguments = parser.parse_args()
    rows: list[list[str]] = []
    for folder in arguments.folders:
        try:
            drafts = start(folder / "services.yaml", InitRequest()).drafts
        except SlimbakeError as error:
            print(f"{folder.name}: {error.message}", file=sys.stderr)
            continue
        for draft in drafts:
            if draft.outcome != "kept" and re.search(arguments.only, draft.name):
                row = [called(folder)[0], draft.name, *_compared(folder, draft, arguments.python)]
                print(" | ".join(row), file=sys.stderr)
                rows.append(row)
    print(tables.markdown("Services beside their Dockerfiles", HEADINGS, rows))
    tables.save("twins", {"rows": rows})
    return 1 if any(len(row) < len(HEADINGS) for row in rows) else 0  # what was not compared


def _compared(folder: Path, draft: Draft, python: str) -> Iterator[str]:
    """The cells of a service; one with the last words of what could not be built."""
    with TemporaryDirectory(prefix="slimbake-bench-") as apart:
        copy = shutil.copytree(folder, Path(apart, folder.name), symlinks=True)
        try:
            twin, image = _twin(folder, draft, Path(apart)), _image(copy, draft, python)
        except subprocess.CalledProcessError as error:
            yield f"not built: {' '.join(error.stderr.split())[-200:]}"
            return
    not_code = matcher((*NOT_CODE, *(f"{glob}/**" for glob in NOT_CODE)))
    left_out = {path for path in twin.files if not_code(path)}
    here = {*image.files.values()}
    missing = [p for p, digest in twin.files.items() if digest not in here and p not in left_out]
    there = {*twin.files.values()}
    more = [
        path
        for path, digest in image.files.items()
        if digest not in there and not path.startswith(OURS) and not path.endswith(".pyc")
    ]
    yield from (str(len(twin.files)), str(len(left_out)), _listed(missing), _listed(more))
    same = twin.beside() - {twin.files[path] for path in left_out} <= image.beside()
    yield "same" if same else f"{twin.folder}: {image.folder}"
    overridden = {"command", "entrypoint"} & draft.kept.keys()
    same = twin.command == image.command
    yield "same" if same else "compose" if overridden else f"{twin.command}: {image.command}"
    named = "port" in draft.kept or not twin.ports  # by its compose file, or its command
    yield (
        "same"
        if twin.ports == image.ports
        else "named"
        if named
        else f"{twin.ports}: {image.ports}"
    )
    yield "same" if twin.user == image.user else f"{twin.user}: {image.user}"


def _twin(folder: Path, draft: Draft, apart: Path) -> Image:
    kept, file = draft.kept, apart / "Dockerfile"
    text = (folder / kept["dockerfile"]).read_text("utf-8")
    file.write_text("\n".join(_lines([*instructions(text)], kept.get("target", ""))))
    ignored = folder / f"{kept['dockerfile']}.dockerignore"
    if ignored.is_file():
        shutil.copy(ignored, apart / "Dockerfile.dockerignore")
    words = [f"--build-arg={name}={value}" for name, value in kept.get("args", {}).items()]
    words += ["--provenance=false", f"--file={file}", f"--output=type=oci,dest={apart}/twin.tar"]
    _run(folder, "docker", "buildx", "build", *words, str(folder / kept["context"]))
    return Image.of(apart / "twin.tar")


def _lines(every: Sequence[Instruction], target: str) -> Iterator[str]:
    """A stage, and the stages that it stands on, as one that begins empty."""
    begins = [number for number, one in enumerate(every) if one.word == "FROM"]
    names = [(every[number].rest.split()[-1].lower(), number) for number in begins]
    at: int | None = next((n for name, n in names if name == target.lower()), begins[-1])
    parts: list[Sequence[Instruction]] = []
    while at is not None:
        parts.insert(0, every[at + 1 : next((n for n in begins if n > at), None)])
        below = every[at].rest.split()[0].lower()
        at = next((n for name, n in reversed(names) if n < at and name == below), None)
    before = [one.source for one in every[: begins[0]]]
    yield from (*before, "FROM scratch", *before)
    for one in (one for part in parts for one in part if one.word in KEPT):
        flags = dict(one.flags)
        if "from" not in flags:
            yield f"{one.word} {one.rest}"


def _image(copy: Path, draft: Draft, python: str) -> Image:
    """The image of a service without packages, checks and a name of its own."""
    text = start(copy / "services.yaml", InitRequest(service=draft.name)).text
    entry = yaml.safe_load(text)["services"][draft.name]
    bare = {key: value for key, value in entry.items() if key not in WITHOUT} | {"start": "none"}
    manifest = {"project": PROJECT, "python": python, "services": {draft.name: bare}}
    (copy / "services.yaml").write_text(json.dumps(manifest))  # which YAML reads
    _run(copy, sys.executable, "-m", "slimbake", "bake", draft.name)
    [name, *_] = _run(
        copy,
        *("docker", "image", "ls", "--format={{.ID}}"),
        f"--filter=label=slimbake.project={PROJECT}",
    ).split()
    _run(copy, "docker", "image", "save", f"--output={copy}.tar", name)
    _run(copy, "docker", "image", "rm", "--force", name)
    return Image.of(Path(f"{copy}.tar"))


def _contents(tar: tarfile.TarFile) -> Iterator[tuple[str, str]]:
    for member in tar:
        if member.isfile() and (content := tar.extractfile(member)):
            digest = hashlib.file_digest(content, "sha256").hexdigest()  # type: ignore[arg-type]
            yield member.name.removeprefix("./"), digest


def _run(folder: Path, *words: str) -> str:
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True).stdout


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _listed(paths: Sequence[str]) -> str:
    return f"{len(paths)}: {', '.join(paths[:3])}" if paths else "0"


if __name__ == "__main__":
    sys.exit(main())
