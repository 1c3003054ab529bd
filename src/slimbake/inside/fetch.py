"""Downloads the wheels of a lock, verified by hash. Standard library only.

Used twice: inside a build it is bind-mounted into the step that asks the index, `python fetch.py /wheels`; on the
machine `slimbake fetch` fills the wheelhouse with its `download`. uv finds where a wheel can be had.
"""

from __future__ import annotations

import argparse
import base64
import errno
import hashlib
import netrc
import os
import re
import shutil
import ssl
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urlsplit, urlunsplit

INSIDE = Path("/inside")
ATTEMPTS = 5
CHUNK = 1 << 20
TIMEOUT = 60  # seconds without a byte
PARALLEL = 8


class Found(NamedTuple):
    """A package, and where its wheel can be had."""

    package: str
    version: str
    url: str
    sha256: str


class FetchError(Exception):
    """A wheel could not be had, or is not what the lock names; the text is for people."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="fetch")
    parser.add_argument("target", type=Path)
    parser.add_argument("--torch", default="")
    arguments = parser.parse_args()
    lock = (INSIDE / "lock.txt").read_text()
    try:
        fetch(lock, arguments.target, arguments.torch)
    except FetchError as error:
        print(f"slimbake: {error}", file=sys.stderr)
        return 1
    return 0


def fetch(lock: str, target: Path, torch: str) -> None:
    """Bring every wheel of the lock into `target`; the cache keeps them for the next build."""
    target.mkdir(parents=True, exist_ok=True)
    hashes = locked(lock)
    ca = INSIDE / "ca.pem"
    open_ = opener(_indexes(), ca if ca.is_file() else None)

    def bring(wheel: Found) -> None:
        name = file_name(wheel.url)
        if wheel.url.startswith("file:"):
            shutil.copyfile(unquote(urlsplit(wheel.url).path), target / name)
            return
        wanted = hashes[wheel.package, wheel.version]
        if wanted and wheel.sha256 not in wanted:
            raise FetchError(f"{name}: the index has sha256 {wheel.sha256}, the lock {' or '.join(sorted(wanted))}")
        kept = INSIDE / "cache" / "wheels" / wheel.sha256 / name
        if not kept.is_file():
            download(wheel.url, kept, wheel.sha256, open_)
        shutil.copyfile(kept, target / name)

    with ThreadPoolExecutor(PARALLEL) as pool:
        for done in [pool.submit(bring, wheel) for wheel in located(list(hashes), torch)]:
            done.result()


def locked(lock: str) -> dict[tuple[str, str], set[str]]:
    """The packages of a lock with their versions, each with its hashes; none where upstream's could not be asked."""
    pins = re.finditer(r"^([A-Za-z0-9][\w.-]*)==([^\s;]+)[^\n]*((?:\n    --hash=sha256:[^\n]+)*)", lock, re.MULTILINE)
    return {(pin[1], pin[2]): set(re.findall(r"[0-9a-f]{64}", pin[3])) for pin in pins}


def file_name(url: str) -> str:
    """The name of the file that an address leads to."""
    return unquote(urlsplit(url).path).rpartition("/")[2]


def located(pins: list[tuple[str, str]], torch: str) -> list[Found]:
    """Where the wheel of each pin for this interpreter can be had, as uv finds it."""
    if not pins:
        return []
    asked, answer = Path("/tmp/asked.in"), Path("/tmp/pylock.toml")  # noqa: S108 - a tmpfs of this step alone
    asked.write_text("".join(f"{name}=={version}\n" for name, version in pins))
    words = ["pip", "compile", str(asked), "--output-file", str(answer), "--quiet", "--format", "pylock.toml",
             "--no-deps", "--only-binary", ":all:", "--python", sys.executable]  # fmt: skip
    found = INSIDE / "find-links"
    if found.is_dir() and any(found.iterdir()):
        words += ["--find-links", str(found)]
    # All versions are exact, so whichever index has one will do, and the lock's hashes say whether it is the right one.
    words += ["--index-strategy", "unsafe-best-match"]
    ways: list[list[str]] = [[]]
    if torch and any(version.endswith(f"+{torch}") for _, version in pins):
        ways.append(["--torch-backend", torch])  # what the machine's own indexes lack, PyTorch's may have
    environment = {"UV_CACHE_DIR": str(INSIDE / "cache"), "HOME": "/tmp", "UV_PYTHON_DOWNLOADS": "never"}  # noqa: S108
    for variable, name in (("SSL_CERT_FILE", "ca.pem"), ("UV_CONFIG_FILE", "uv.toml")):
        if (INSIDE / name).is_file():
            environment[variable] = str(INSIDE / name)
    for way in ways:
        done = subprocess.run(
            [str(INSIDE / "uv"), *words, *way], check=False, env={**os.environ, **environment}, stderr=subprocess.PIPE
        )
        if not done.returncode:
            break
    else:
        sys.stderr.write(done.stderr.decode(errors="replace"))
        raise FetchError("uv does not find what the lock names")
    packages = tomllib.loads(answer.read_text()).get("packages", [])
    return [_found(package, package["wheels"][0]) for package in packages]


def _found(package: dict[str, Any], wheel: dict[str, Any]) -> Found:
    url = wheel.get("url") or f"file://{quote(wheel['path'])}"
    return Found(package["name"], package["version"], url, wheel.get("hashes", {}).get("sha256", ""))


def _indexes() -> Iterable[str]:
    path = INSIDE / "uv.toml"
    settings = tomllib.loads(path.read_text()) if path.is_file() else {}
    return (*settings.get("extra-index-url", []), *filter(None, [settings.get("index-url")]))


Open = Callable[[str, dict[str, str]], "urllib.request._UrlopenRet"]


def opener(indexes: Iterable[str], ca: Path | None) -> Open:
    """What opens an address with the machine's proxies and certificates, and with the credentials of its host.

    Credentials come from the address itself, from an index on the same host, or from .netrc.
    """
    known = {part.hostname: part for part in map(urlsplit, indexes) if part.username}
    handler = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(ca) if ca else None))
    director = urllib.request.build_opener(handler)

    def open_(url: str, headers: dict[str, str]) -> urllib.request._UrlopenRet:
        parts = urlsplit(url)
        owner = parts if parts.username else known.get(parts.hostname)
        user = (unquote(owner.username or ""), unquote(owner.password or "")) if owner else _netrc(parts.hostname or "")
        if user:
            word = base64.b64encode(":".join(user).encode()).decode()
            headers = {**headers, "Authorization": f"Basic {word}"}
        bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment=""))
        return director.open(urllib.request.Request(bare, headers=headers), timeout=TIMEOUT)  # noqa: S310

    return open_


def _netrc(host: str) -> tuple[str, str] | None:
    try:
        found = netrc.netrc().authenticators(host)
    except (OSError, netrc.NetrcParseError):
        return None
    return (found[0], found[2]) if found else None


def download(url: str, path: Path, sha256: str, open_: Open, took: Callable[[int], None] = lambda _: None) -> None:
    """Put a file in place, whole and verified, or not at all; what came before a broken line is not asked for again.

    `took` is told of each number of bytes that arrived. Raises FetchError, which names the file, and OSError where
    the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                _continue(url, part, open_, took)
                break
            except urllib.error.HTTPError as error:
                if error.code < 500 and error.code not in {408, 429}:
                    raise FetchError(f"{path.name}: the index answers {error.code} {error.reason}") from None
                problem: Exception = error
            except (OSError, HTTPException) as error:
                if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
                    raise
                problem = error
            if attempt == ATTEMPTS:
                raise FetchError(f"{path.name}: the index broke off {ATTEMPTS} times: {problem}") from None
            time.sleep(0.5 * 2**attempt)
        found = hashed(part)
        if sha256 and found != sha256:
            raise FetchError(f"{path.name} is not what the lock names: sha256 {found}, wanted {sha256}")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _continue(url: str, part: Path, open_: Open, took: Callable[[int], None]) -> None:
    there = part.stat().st_size if part.exists() else 0
    with open_(url, {"Range": f"bytes={there}-"} if there else {}) as answer:
        appended = there and answer.status == 206
        with part.open("ab" if appended else "wb") as file:
            while chunk := answer.read(CHUNK):
                file.write(chunk)
                took(len(chunk))
        length = answer.headers.get("Content-Length")
        if length and part.stat().st_size != int(length) + (there if appended else 0):
            raise OSError("it ended early")


def hashed(path: Path) -> str:
    """The SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    sys.exit(main())
