"""Made-up images as OCI layouts: layers of a few files, as a test wants them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from slimbake.images.streams import zstd

SITE = "opt/slimbake/lib/python3.11/site-packages"


@dataclass(frozen=True)
class Member:
    """A member of a layer's tar."""

    name: str
    content: bytes = b""
    type: bytes = tarfile.REGTYPE
    mode: int = 0o644
    uid: int = 0
    mtime: int = 315532800
    link: str = ""

    def but(self, **changes: Any) -> Member:
        return replace(self, **changes)


@dataclass(frozen=True)
class Made:
    """An image before it is written."""

    layers: tuple[bytes, ...]  # tars
    config: Mapping[str, Any] = field(default_factory=dict)
    name: str = "registry.example.com/toys/one:latest"
    compression: str = "zstd"  # gzip; "" = stored as they are
    platform: str = "linux/amd64"


def folder(name: str) -> Member:
    return Member(name, type=tarfile.DIRTYPE, mode=0o755)


def tar(members: Iterable[Member] | Mapping[str, bytes]) -> bytes:
    """The tar of a layer; a mapping is one of paths and contents."""
    if isinstance(members, Mapping):
        members = [Member(name, content) for name, content in members.items()]
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for each in members:
            info = tarfile.TarInfo(each.name)
            info.type, info.mode, info.uid, info.mtime = each.type, each.mode, each.uid, each.mtime
            info.linkname, info.size = each.link, len(each.content)
            archive.addfile(info, io.BytesIO(each.content))
    return stream.getvalue()


def digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def stored(layer: bytes, compression: str) -> bytes:
    if compression == "zstd":
        return zstd.compress(layer)
    return gzip.compress(layer, mtime=0) if compression == "gzip" else layer


def write(path: Path, *images: Made) -> Path:
    """A layout in a folder with these images; those of one name are an index of their platforms."""
    blobs = path / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)

    def put(content: bytes) -> str:
        (blobs / digest(content).removeprefix("sha256:")).write_bytes(content)
        return digest(content)

    def described(image: Made) -> dict[str, Any]:
        kind = image.compression
        media = "application/vnd.oci.image.layer.v1.tar" + (kind and f"+{kind}")
        system, architecture = image.platform.split("/")
        config = {"os": system, "architecture": architecture, **image.config}
        config["rootfs"] = {"type": "layers", "diff_ids": [digest(layer) for layer in image.layers]}
        kept = [stored(layer, image.compression) for layer in image.layers]
        manifest = {
            "schemaVersion": 2,
            "config": {"digest": put(json.dumps(config).encode()), "size": 1},
            "layers": [
                {"mediaType": media, "digest": put(each), "size": len(each)} for each in kept
            ],
        }
        platform = {"os": system, "architecture": architecture}
        return {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "size": 1,
            "platform": platform,
            "digest": put(json.dumps(manifest).encode()),
        }

    listed = []
    for name in dict.fromkeys(image.name for image in images):
        of_it = [described(image) for image in images if image.name == name]
        entry = of_it[0]
        if len(of_it) > 1:
            index = {"schemaVersion": 2, "manifests": of_it}
            entry = {"digest": put(json.dumps(index).encode()), "size": 1}
        notes = {
            "io.containerd.image.name": name,
            "org.opencontainers.image.ref.name": name.rpartition(":")[2],
        }
        listed.append({**entry, "annotations": notes})
    (path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": listed}))
    (path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return path


def packed(layout: Path) -> Path:
    """A layout as a tar file beside it."""
    path = layout.with_suffix(".tar")
    with tarfile.open(path, "w") as archive:
        for each in sorted(layout.iterdir()):
            archive.add(each, each.name)
    return path


def record(name: str, version: str, *files: str) -> dict[str, bytes]:
    """The RECORD of a package with these files, relative to its site-packages."""
    info = f"{name}-{version}.dist-info"
    rows = "".join(f"{file},sha256=x,1\n" for file in (*files, f"{info}/RECORD"))
    return {f"{SITE}/{info}/RECORD": rows.encode()}
