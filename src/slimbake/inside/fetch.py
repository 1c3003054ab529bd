"""Downloads the wheels of a lock and verifies their hashes.

Serves both sides: a step of a build that asks the package index, and `slimbake lock --fetch`, which fills
the wheelhouse on this machine with `download`. uv says where a wheel is.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import http.client
import json
import netrc
import os
import re
import resource
import shutil
import ssl
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import SplitResult, quote, unquote, urlsplit, urlunsplit

from .answers import CHUNK, SECONDS, Answer, AnswerError, follow
from .locked import LockEntry, lock_entries, source_line
from .step import INSIDE, StepError
from .step import hashed as hashed

ATTEMPTS = 5
REDIRECTS = 10
SAID = 1000  # characters of an error that are shown
MOST = 4 << 30  # bytes of a file; the largest wheels have 3
LOCATING = 3600  # seconds for uv to find what a lock names
MEMORY = 4 << 30  # bytes that it may use for that
PARALLEL = 8

Open = Callable[[str, dict[str, str]], Answer]


class LocatedWheel(NamedTuple):
    """A package, and where its wheel is."""

    package: str
    version: str
    url: str
    sha256: str


class FetchError(StepError):
    """A wheel is not available, or is not the one that the lock names."""


def fetch_wheels(arguments: Sequence[str]) -> None:
    """The program `fetch-wheels TARGET`: of the layer or the lock that is mounted. The variable TORCH
    is uv's name of a backend, such as `cpu`.
    """
    layer = INSIDE / "layer.json"
    if layer.is_file():
        lines = json.loads(layer.read_text())["requirements"]
        lock = "".join(f"{line}\n" for line in lines)
    else:
        lock = (INSIDE / "lock.txt").read_text()
    fetch_lock(lock, Path(*arguments), os.environ.get("TORCH", ""))


def fetch_lock(lock: str, target: Path, torch: str) -> None:
    """Download every wheel of the lock into `target`; the cache keeps them for the next build."""
    target.mkdir(parents=True, exist_ok=True)
    packages = [package for package in lock_entries(lock, sizes=False) if not package.origin]
    hashes: dict[tuple[str, str], set[str]] = {}
    for package in packages:
        hashes.setdefault((package.name, package.version), set()).update(package.hashes)
    ca = INSIDE / "ca.pem"
    open_ = opener(_indexes(), ca if ca.is_file() else None)
    with ThreadPoolExecutor(PARALLEL) as pool:
        fetching = []
        for wheels in locate_wheels(packages, torch):
            locked = hashes[wheels[0].package, wheels[0].version]
            fetching.append(pool.submit(_fetch_wheel, wheels, locked, target, open_))
        for fetched in fetching:
            fetched.result()
    source = source_line(lock)
    if source and not source.get("address", "").startswith("git+"):  # another stage has a commit
        _fetch_source(source, target / source["file"], open_)


def _fetch_wheel(wheels: list[LocatedWheel], locked: set[str], target: Path, open_: Open) -> None:
    """Put the locked one of these wheels into `target`. Raises FetchError."""
    wheel = choose_wheel(wheels, locked)
    name = wheel_name(wheel.url)
    if _in_folder(wheel.url):
        shutil.copyfile(_path(wheel.url), target / name)
        return
    if not wheel.sha256:
        download(wheel.url, target / name, locked, open_)
        return
    cached = INSIDE / "cache" / "wheels" / wheel.sha256 / name
    if not cached.is_file():
        download(wheel.url, cached, {wheel.sha256}, open_)
    shutil.copyfile(cached, target / name)


def _fetch_source(source: dict[str, Any], path: Path, open_: Open) -> None:
    """Put the sources that a lock names in place. Raises FetchError."""
    url = source.get("address") or locate_sources(source)
    if _in_folder(url):
        shutil.copyfile(_path(url), path)
    else:
        download(url, path, {source["sha256"]}, open_)


def _in_folder(url: str) -> bool:
    """Whether an address is of a file that the step mounts; an index can name others."""
    folder = str(INSIDE / "find-links")
    return url.startswith("file:") and os.path.normpath(_path(url)).startswith(f"{folder}/")


def _path(url: str) -> str:
    return unquote(urlsplit(url).path)


def locate_sources(source: dict[str, Any]) -> str:
    """Where the index has the sources of a lock. Raises FetchError."""
    done = _ask(f"{source['name']}=={source['version']}\n", "--no-binary", source["name"])
    packages = [] if done.returncode else tomllib.loads(done.stdout).get("packages", [])
    for package in packages:
        archive = package.get("sdist")
        if archive is None:
            continue
        # Without a SHA-256 it is compared when it is downloaded.
        if archive.get("hashes", {}).get("sha256", source["sha256"]) == source["sha256"]:
            return str(archive.get("url") or f"file://{quote(archive['path'])}")
    raise FetchError(
        f"the index does not have {source['file']} with sha256 {source['sha256']}\n{done.stderr}"
    )


def choose_wheel(wheels: list[LocatedWheel], locked: set[str]) -> LocatedWheel:
    """The wheel of a package whose hash the lock names.

    The index may have got other wheels since. A wheel in a folder has no hash yet: the step that
    installs it verifies it. Of an index that gives no SHA-256, the first is as good as any: it is
    compared when it is downloaded. Raises FetchError.
    """
    for wheel in wheels:
        if wheel.sha256 in locked:
            return wheel
    for wheel in wheels:
        if _in_folder(wheel.url):
            return wheel
    for wheel in wheels:
        if locked and not wheel.sha256:
            return wheel
    names = ", ".join(f"{wheel_name(wheel.url)} with sha256 {wheel.sha256}" for wheel in wheels)
    wanted = " or ".join(sorted(locked)) or "no hash"
    raise FetchError(f"{wheels[0].package}: the index has {names}, and the lock {wanted}")


def wheel_name(url: str) -> str:
    """The name of the file that a URL leads to."""
    return unquote(urlsplit(url).path).rpartition("/")[2]


def locate_wheels(packages: Iterable[LockEntry], torch: str) -> list[list[LocatedWheel]]:
    """The wheels that fit this interpreter, for each of these packages: uv finds them.

    Those with markers of other machines have none. Raises FetchError.
    """
    requirements = "\n".join(package.requirement for package in packages)
    if not requirements:
        return []
    done = _ask(requirements)
    if done.returncode and torch and f"+{torch}" in requirements:
        # Wheels that the machine's indexes lack may be on PyTorch's own index.
        done = _ask(requirements, "--torch-backend", torch)
    if done.returncode:
        raise FetchError(f"uv does not find what the lock names\n{done.stderr}")
    located = []
    for package in tomllib.loads(done.stdout).get("packages", []):
        located.append([_located(package, wheel) for wheel in package["wheels"]])
    return located


def _ask(requirements: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Where uv finds these requirements, as a pylock.toml."""
    command = [
        *(str(INSIDE / "uv"), "pip", "compile", "-", "--format", "pylock.toml", "--no-deps"),
        *("--only-binary", ":all:", "--python", sys.executable),
        # Versions are exact, and files are compared with the lock: no index can slip in others.
        *("--index-strategy", "unsafe-best-match"),
    ]
    links = INSIDE / "find-links"
    if links.is_dir() and any(links.iterdir()):
        command += ["--find-links", str(links)]
    command += options
    environment = dict(os.environ)
    environment["UV_CACHE_DIR"] = str(INSIDE / "cache")
    environment["HOME"] = "/tmp"  # noqa: S108
    environment["UV_PYTHON_DOWNLOADS"] = "never"
    for variable, name in (("SSL_CERT_FILE", "ca.pem"), ("UV_CONFIG_FILE", "uv.toml")):
        if (INSIDE / name).is_file():
            environment[variable] = str(INSIDE / name)
    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as uv:
        _limit_memory(uv.pid)
        try:
            stdout, stderr = uv.communicate(requirements, LOCATING)
        except subprocess.TimeoutExpired:
            uv.kill()
            raise FetchError(f"uv does not find what the lock names within {LOCATING} s") from None
    return subprocess.CompletedProcess(command, uv.returncode, stdout, stderr)


def _limit_memory(pid: int) -> None:
    """Limit the memory of a process to MEMORY: what an index sends, uv keeps there."""
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    soft = MEMORY if hard == resource.RLIM_INFINITY else min(MEMORY, hard)
    with contextlib.suppress(ProcessLookupError):  # it has ended
        resource.prlimit(pid, resource.RLIMIT_DATA, (soft, hard))


def _located(package: dict[str, Any], wheel: dict[str, Any]) -> LocatedWheel:
    url = wheel.get("url") or f"file://{quote(wheel['path'])}"
    sha256 = wheel.get("hashes", {}).get("sha256", "")
    return LocatedWheel(package["name"], package["version"], url, sha256)


def _indexes() -> Iterable[str]:
    path = INSIDE / "uv.toml"
    if not path.is_file():
        return []
    settings = tomllib.loads(path.read_text())
    indexes = list(settings.get("extra-index-url", []))
    if settings.get("index-url"):
        indexes.append(settings["index-url"])
    return indexes


def opener(indexes: Iterable[str], ca: Path | None) -> Open:
    """A function that opens a URL with the machine's proxies, certificates and credentials.

    Credentials come from the URL itself, from an index at the same host and port, or from .netrc.
    The function raises AnswerError for what is not HTTP, or leads elsewhere.
    """
    credentials = _Credentials(indexes)
    director = urllib.request.OpenerDirector()
    for handler in (  # all that opens http and https, and nothing that opens anything else
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(credentials),
        _Http(ca),
    ):
        director.add_handler(handler)

    def open_(url: str, headers: dict[str, str]) -> Answer:
        follow("", url)
        parts = urlsplit(url)
        bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment=""))
        request = urllib.request.Request(bare, headers=headers)  # noqa: S310 - http(s) only
        credentials.add(request, parts)
        answer: Answer = director.open(request, timeout=SECONDS)
        return answer

    return open_


class _Credentials:
    """Names and passwords: of addresses, of indexes, and of .netrc."""

    def __init__(self, indexes: Iterable[str]) -> None:
        self._index_of: dict[tuple[str, str], SplitResult] = {}
        for index in indexes:
            parts = urlsplit(index)
            if parts.username:
                self._index_of[_origin(parts)] = parts

    def add(self, request: urllib.request.Request, address: SplitResult) -> None:
        """Add to a request for an address what its server asks for. No redirect passes it on."""
        user: tuple[str, str] | None
        owner = address if address.username else self._index_of.get(_origin(address))
        if owner:
            user = (unquote(owner.username or ""), unquote(owner.password or ""))
        else:
            user = _netrc(address.hostname or "")
        if user:
            word = base64.b64encode(":".join(user).encode()).decode()
            request.add_unredirected_header("Authorization", f"Basic {word}")


def _origin(parts: SplitResult) -> tuple[str, str]:
    return parts.scheme, parts.netloc.rpartition("@")[2].lower()


def _netrc(host: str) -> tuple[str, str] | None:
    try:
        login = netrc.netrc().authenticators(host)
    except (OSError, netrc.NetrcParseError):
        return None
    if login is None:
        return None
    name, _, password = login
    return name, password


class _Redirects(urllib.request.HTTPRedirectHandler):
    """An index may redirect to another host, which must not get this host's credentials."""

    max_redirections = REDIRECTS

    def __init__(self, credentials: _Credentials) -> None:
        self._credentials = credentials

    def redirect_request(self, *arguments: Any) -> urllib.request.Request | None:
        before, body = arguments[:2]
        with body:
            follow(before.full_url, arguments[-1])
        request = super().redirect_request(*arguments)
        if request:
            self._credentials.add(request, urlsplit(request.full_url))
        return request


class _Http(urllib.request.AbstractHTTPHandler):
    """Asks by HTTP, and reads what comes as `Answer`."""

    def __init__(self, ca: Path | None) -> None:
        super().__init__()
        self._context = ssl.create_default_context(cafile=str(ca) if ca else None)

    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Plain, request)

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Tls, request, context=self._context)

    http_request = urllib.request.AbstractHTTPHandler.do_request_
    https_request = http_request


class _Plain(http.client.HTTPConnection):
    response_class = Answer


class _Tls(http.client.HTTPSConnection):
    response_class = Answer


def download(
    url: str,
    path: Path,
    accepted: Set[str],
    open_: Open,
    took: Callable[[int], None] = lambda _: None,
    size: int | None = None,
) -> None:
    """Put a file in place, whole and verified, or not at all; resume after a broken connection.

    `accepted`: hashes of which it has one, none for any; `took` gets each number of bytes that
    arrived; `size`: the bytes that it may have, and never more than MOST. Raises FetchError, which
    names the file, and OSError where the disk is full.
    """
    most = MOST if size is None else min(size, MOST)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        _receive(url, path.name, part, open_, took, most)
        digest = hashed(part)
        if accepted and digest not in accepted:
            wanted = " or ".join(sorted(accepted))
            raise FetchError(
                f"{path.name} is not what the lock names: sha256 {digest}, wanted {wanted}"
            )
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _receive(
    url: str, name: str, part: Path, open_: Open, took: Callable[[int], None], most: int
) -> None:
    """Download a whole file to `part`, in several attempts. `name`: of the file, in errors."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _continue(url, part, open_, took, most)
            return
        except AnswerError as error:
            raise FetchError(f"{name}: the index {error}") from None
        except ValueError as error:  # an address that is none
            raise FetchError(f"{name}: the index answers what cannot be read: {error}") from None
        except urllib.error.HTTPError as error:
            error.close()  # it holds the connection
            if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:  # nothing is lacking
                part.unlink(missing_ok=True)
            elif error.code < 500 and error.code not in {408, 429}:
                raise FetchError(f"{name}: the index answers {error.code} {error.reason}") from None
            problem: Exception = error
        except (OSError, HTTPException) as error:
            if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise
            problem = error
        time.sleep(0.5 * 2**attempt)
    raise FetchError(f"{name}: the index broke off {ATTEMPTS} times: {str(problem)[:SAID]}")


def _continue(url: str, part: Path, open_: Open, took: Callable[[int], None], most: int) -> None:
    """Download what `part` lacks; from its beginning where the server does not go on."""
    before = part.stat().st_size if part.exists() else 0
    with open_(url, {"Range": f"bytes={before}-"} if before else {}) as answer:
        answer.allow(most)
        if answer.status != http.client.PARTIAL_CONTENT:
            before = 0
        with part.open("ab" if before else "wb") as file:
            while chunk := answer.read1(CHUNK):  # what has arrived
                file.write(chunk)
                took(len(chunk))
                if file.tell() > most:
                    raise AnswerError(f"sends more than {most:,} bytes")
        length = answer.headers.get("Content-Length", "")
        if re.fullmatch(r"[0-9]{1,18}", length) and part.stat().st_size != int(length) + before:
            raise OSError("it ended early")
