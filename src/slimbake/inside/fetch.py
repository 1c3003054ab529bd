"""Downloads the wheels of a lock, verified by hash. Standard library only.

Used twice: bind-mounted into the step of a build that asks the index, `python fetch.py /wheels`; on the machine
`slimbake fetch` fills the wheelhouse with its `download`. uv finds where a wheel can be had.
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
from urllib.parse import SplitResult, quote, unquote, urlsplit, urlunsplit

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
    try:
        fetch((INSIDE / "lock.txt").read_text(), arguments.target, arguments.torch)
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

    def bring(wheels: list[Found]) -> None:
        wheel = chosen(wheels, hashes[wheels[0].package, wheels[0].version])
        name = file_name(wheel.url)
        if wheel.url.startswith("file:"):
            shutil.copyfile(unquote(urlsplit(wheel.url).path), target / name)
            return
        kept = INSIDE / "cache" / "wheels" / wheel.sha256 / name
        if not kept.is_file():
            download(wheel.url, kept, wheel.sha256, open_)
        shutil.copyfile(kept, target / name)

    with ThreadPoolExecutor(PARALLEL) as pool:
        for done in [pool.submit(bring, wheels) for wheels in located(lock, torch)]:
            done.result()


def chosen(wheels: list[Found], wanted: set[str]) -> Found:
    """Of the wheels of a package that fit here, the one that the lock names by its hash, if it names any so.

    An index may have got others since. What lies in a folder has no hash yet: the step that installs it verifies it.
    """
    named = [wheel for wheel in wheels if wheel.sha256 in wanted]
    local = [wheel for wheel in wheels if wheel.url.startswith("file:")]
    if found := named or local or ([] if wanted else wheels):
        return found[0]
    names = ", ".join(f"{file_name(wheel.url)} with sha256 {wheel.sha256}" for wheel in wheels)
    raise FetchError(f"{wheels[0].package}: the index has {names}, and the lock {' or '.join(sorted(wanted))}")


def locked(lock: str) -> dict[tuple[str, str], set[str]]:
    """The packages of a lock with their versions, each with its hashes; none where upstream's could not be asked."""
    pins = re.finditer(r"^([A-Za-z0-9][\w.-]*)==([^\s;]+)[^\n]*((?:\n    --hash=sha256:[^\n]+)*)", lock, re.MULTILINE)
    return {(pin[1], pin[2]): set(re.findall(r"[0-9a-f]{64}", pin[3])) for pin in pins}


def file_name(url: str) -> str:
    """The name of the file that an address leads to."""
    return unquote(urlsplit(url).path).rpartition("/")[2]


def located(lock: str, torch: str) -> list[list[Found]]:
    """Where the wheels of each pin that fit this interpreter can be had, as uv finds it; markers name other ones."""
    asked = "\n".join(re.findall(r"^[A-Za-z0-9][\w.-]*==[^\\\n]+", lock, re.MULTILINE))
    if not asked:
        return []
    words = ["pip", "compile", "-", "--format", "pylock.toml", "--no-deps",
             "--only-binary", ":all:", "--python", sys.executable,
             "--index-strategy", "unsafe-best-match"]  # fmt: skip  # versions are exact, files compared with the lock
    found = INSIDE / "find-links"
    if found.is_dir() and any(found.iterdir()):
        words += ["--find-links", str(found)]
    given = {"SSL_CERT_FILE": INSIDE / "ca.pem", "UV_CONFIG_FILE": INSIDE / "uv.toml"}
    environment = {variable: str(path) for variable, path in given.items() if path.is_file()}
    environment |= {"UV_CACHE_DIR": str(INSIDE / "cache"), "HOME": "/tmp", "UV_PYTHON_DOWNLOADS": "never"}  # noqa: S108
    # What the machine's indexes lack, PyTorch's own may have.
    elsewhere = torch and f"+{torch}" in asked
    for more in ([], ["--torch-backend", torch])[: 2 if elsewhere else 1]:
        done = subprocess.run([str(INSIDE / "uv"), *words, *more], check=False, env={**os.environ, **environment},
                              input=asked, capture_output=True, text=True)  # fmt: skip
        if not done.returncode:
            packages = tomllib.loads(done.stdout).get("packages", [])
            return [[_found(package, wheel) for wheel in package["wheels"]] for package in packages]
    raise FetchError(f"uv does not find what the lock names\n{done.stderr}")


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

    Credentials come from the address itself, from an index at the same host and port, or from .netrc.
    """
    known = {_origin(part): part for part in map(urlsplit, indexes) if part.username}

    def authorised(request: urllib.request.Request, owner: SplitResult | None) -> urllib.request.Request:
        host = urlsplit(request.full_url).hostname or ""
        user = (unquote(owner.username or ""), unquote(owner.password or "")) if owner else _netrc(host)
        if user:
            word = base64.b64encode(":".join(user).encode()).decode()
            request.add_unredirected_header("Authorization", f"Basic {word}")
        return request

    class Redirects(urllib.request.HTTPRedirectHandler):
        """An index may send to another host, which must not be told who we are here."""

        def redirect_request(self, *arguments: Any) -> urllib.request.Request | None:
            request = super().redirect_request(*arguments)
            return request and authorised(request, known.get(_origin(urlsplit(request.full_url))))

    handler = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(ca) if ca else None))
    director = urllib.request.build_opener(handler, Redirects)

    def open_(url: str, headers: dict[str, str]) -> urllib.request._UrlopenRet:
        parts = urlsplit(url)
        bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment=""))
        request = urllib.request.Request(bare, headers=headers)  # noqa: S310 - uv names http and https alone
        owner = parts if parts.username else known.get(_origin(parts))
        return director.open(authorised(request, owner), timeout=TIMEOUT)

    return open_


def _origin(parts: SplitResult) -> tuple[str, str]:
    return parts.scheme, parts.netloc.rpartition("@")[2].lower()


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
                error.close()  # it holds the connection
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
