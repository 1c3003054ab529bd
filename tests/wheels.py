"""Wheels made on the fly: real archives with METADATA, WHEEL and RECORD, as any installer takes
them.
"""

import base64
import csv
import gzip
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the same inputs give the same bytes


def make_wheel(
    folder: Path,
    name: str,
    version: str = "1",
    requires: Sequence[str] = (),
    *,
    tag: str = "py3-none-any",
    files: Mapping[str, bytes] | None = None,
) -> Path:
    """A wheel in `folder`; by default it holds one module of its name, which knows its version."""
    path = folder / f"{module(name)}-{version}-{tag}.whl"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_bytes(wheel_bytes(name, version, requires, tag=tag, files=files))
    return path


def wheel_bytes(
    name: str,
    version: str,
    requires: Sequence[str] = (),
    *,
    tag: str = "py3-none-any",
    files: Mapping[str, bytes] | None = None,
) -> bytes:
    info = f"{module(name)}-{version}.dist-info"
    content = dict(
        files
        if files is not None
        else {f"{module(name)}/__init__.py": f"version = {version!r}\n".encode()}
    )
    content[f"{info}/METADATA"] = metadata(name, version, requires)
    content[f"{info}/WHEEL"] = (
        f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: {tag}\n".encode()
    )
    record = io.StringIO()
    writer = csv.writer(record, lineterminator="\n")
    for path, data in content.items():
        writer.writerow((path, f"sha256={_digest(data)}", len(data)))
    writer.writerow((f"{info}/RECORD", "", ""))
    content[f"{info}/RECORD"] = record.getvalue().encode()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path, data in content.items():
            archive.writestr(zipfile.ZipInfo(path, LONG_AGO), data)
    return packed.getvalue()


def sdist_bytes(name: str, version: str, requires: Sequence[str] = ()) -> bytes:
    """Sources as a .tar.gz that setuptools builds, with metadata that need no build."""
    listed = "".join(f'"{spec}", ' for spec in requires)
    files = {
        "PKG-INFO": metadata(name, version, requires).replace(b"2.1", b"2.2", 1),
        "pyproject.toml": (
            '[build-system]\nrequires = ["setuptools>=61"]\n'
            'build-backend = "setuptools.build_meta"\n'
            f'[project]\nname = "{name}"\nversion = "{version}"\ndependencies = [{listed}]\n'
        ).encode(),
        f"{module(name)}/__init__.py": f"version = {version!r}\n".encode(),
    }
    packed = io.BytesIO()
    with (
        gzip.GzipFile("", "wb", fileobj=packed, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as archive,
    ):
        for path, data in files.items():
            member = tarfile.TarInfo(f"{module(name)}-{version}/{path}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return packed.getvalue()


def metadata(name: str, version: str, requires: Sequence[str] = ()) -> bytes:
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    return "".join(
        f"{line}\n" for line in (*lines, *(f"Requires-Dist: {spec}" for spec in requires))
    ).encode()


def module(name: str) -> str:
    return name.replace("-", "_")


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
