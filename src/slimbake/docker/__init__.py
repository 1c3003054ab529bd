"""The one module that calls Docker: python-on-whales, and the buildx CLI for its raw events."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tarfile
import tempfile
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from slimbake.errors import SetupError

if TYPE_CHECKING:  # importing it costs 0.3 s, which `generate` need not pay
    from python_on_whales import DockerClient

# Provenance would give each build another digest; the bake file says so too, but not to a linked
# target of 0.13. For provenance too, buildx asks Git seven times for each target: a quarter of the
# time of a bake that builds nothing.
BUILD_ENVIRONMENT = {"BUILDX_NO_DEFAULT_ATTESTATIONS": "1", "BUILDX_GIT_INFO": "0"}


def use_builder(name: str) -> None:
    """Build with this builder from here on; one that is another engine's own makes that engine the
    one to talk to.
    """
    os.environ |= _reached(name)


def _reached(builder: str) -> dict[str, str]:
    """The variables by which a builder is reached; buildx uses another engine's own from its
    context only.
    """
    contexts = subprocess.run(
        ["docker", "context", "ls", "-q"], capture_output=True, text=True, check=False
    ).stdout
    found = {"BUILDX_BUILDER": builder}
    return (
        found | {"DOCKER_CONTEXT": builder, "DOCKER_HOST": ""}
        if builder in contexts.split()
        else found
    )


def client() -> DockerClient:
    """The engine that Docker's own settings choose."""
    from python_on_whales import DockerClient

    return DockerClient()


_builds: set[subprocess.Popen[str]] = set()


def cancel_builds() -> None:
    """End the builds of this process, whichever thread reads them."""
    for process in tuple(_builds):
        process.send_signal(signal.SIGTERM)


class Bake:
    """A running `docker buildx bake`: its raw events, then its exit code and what it wrote besides."""

    def __init__(
        self, arguments: Sequence[str], root: Path, environment: Mapping[str, str]
    ) -> None:
        self.code: int | None = None
        self.text = ""  # lines that are no events: buildx's own errors
        self._arguments = ["docker", "buildx", "bake", "--progress=rawjson", *arguments]
        builder = environment.get("BUILDX_BUILDER", "")
        reached = _reached(builder) if builder else {}
        self._root, self._environment = (
            root,
            {**os.environ, **BUILD_ENVIRONMENT, **environment, **reached},
        )

    def events(self) -> Generator[dict[str, Any], None, None]:
        """Start the build and yield BuildKit's SolveStatus objects until it ends. Interrupted, it
        cancels the build.
        """
        try:
            process = subprocess.Popen(
                self._arguments,
                cwd=self._root,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,
            )
        except FileNotFoundError:
            raise SetupError(
                "docker is not installed", "`slimbake setup --install-engine` installs it"
            ) from None
        lines: list[str] = []
        _builds.add(process)
        try:
            with process:
                assert process.stderr is not None  # noqa: S101 - for the type checker: it was asked for
                yield from _objects(process.stderr, lines)
        finally:
            _end(process)
            _builds.discard(process)
            self.code, self.text = process.returncode, "".join(lines)


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)  # a child of a background job ignores SIGINT
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
    if process.poll() is None:
        process.kill()
        process.wait()


def _objects(stream: IO[str], rest: list[str]) -> Iterator[dict[str, Any]]:
    """Objects that stand one after the other, indented, as rawjson writes them; other lines go to
    `rest`.
    """
    block: list[str] = []
    for line in stream:
        if not block and not line.startswith("{"):
            rest.append(line)
            continue
        block.append(line)
        if line.startswith("}") or (len(block) == 1 and line.rstrip().endswith("}")):
            try:
                yield json.loads("".join(block))
                block = []
            except ValueError:
                # 0.13 writes the last words of the build behind the closing brace of an object.
                end = line.find("}") + 1
                with contextlib.suppress(ValueError):
                    yield json.loads("".join((*block[:-1], line[:end])))
                rest.append(line[end:])
                block = []
    rest.extend(block)


def bake_print(
    arguments: Sequence[str], root: Path, environment: Mapping[str, str] = {}
) -> dict[str, Any]:
    """What `docker buildx bake --print` resolves; needs no engine. Raises SetupError with buildx's
    words.
    """
    done = subprocess.run(
        ["docker", "buildx", "bake", "--print", *arguments],
        cwd=root,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SetupError("buildx does not read the bake file", done.stderr.strip())
    return dict(json.loads(done.stdout))


@contextlib.contextmanager
def saved(images: Sequence[str]) -> Iterator[IO[bytes]]:
    """The images as one OCI layout in a tar stream, each shared blob once. Raises SetupError with
    Docker's words.
    """
    with subprocess.Popen(
        ["docker", "save", *images], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stderr is not None  # noqa: S101 - for the type checker
        try:
            yield process.stdout
        except tarfile.TarError:
            pass  # the engine has ended early, and its own words say more
        except BaseException:
            process.kill()
            raise
        while process.stdout.read(1 << 20):  # what follows the end of the archive
            pass
        error = process.stderr.read().decode(errors="replace").strip()
        if process.wait():
            raise SetupError("the engine could not save images", error)


def held(project: str) -> dict[str, tuple[str, ...]]:
    """The images of a project that the engine holds: their ids, each with its names."""
    form = "--format={{.ID}} {{.Repository}}:{{.Tag}}"
    found: dict[str, tuple[str, ...]] = {}
    for line in call(
        "image", "ls", "--no-trunc", f"--filter=label=slimbake.project={project}", form
    ).splitlines():
        image, name = line.split(" ", 1)
        found[image] = (*found.get(image, ()), name)
    return found


def call(*arguments: str, stdin: str = "") -> str:
    """A docker command to its end: what it wrote on stdout. Raises SetupError with Docker's own
    words.
    """
    done = subprocess.run(
        ["docker", *arguments], input=stdin, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SetupError(f"docker {arguments[0]} failed", done.stderr.strip())
    return done.stdout


def foreground(*arguments: str) -> int:
    """A docker command on this process's own stdin, stdout and stderr; its exit code."""
    return subprocess.run(["docker", *arguments], check=False).returncode


def export(
    dockerfile: str,
    contexts: Mapping[str, str],
    arguments: Mapping[str, str],
    target: Path,
    platform: str = "",
) -> None:
    """Build a Dockerfile without a context of its own and put the files of its last stage into the
    folder `target`.

    `contexts`: name -> folder or image, as bake takes them. Raises SetupError with the build's last
    words.
    """
    with tempfile.TemporaryDirectory(prefix="slimbake-export-") as scratch:
        file = Path(scratch) / "Dockerfile"
        file.write_text(dockerfile)
        words = [f"--build-context={name}={value}" for name, value in contexts.items()]
        words += [f"--build-arg={name}={value}" for name, value in arguments.items()]
        words += [f"--platform={platform}"] if platform else []
        command = [
            "docker",
            "buildx",
            "build",
            "--progress=plain",
            f"--file={file}",
            f"--output=type=local,dest={target}",
        ]
        done = subprocess.run(
            [*command, *words, scratch],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **BUILD_ENVIRONMENT},
        )
    if done.returncode:
        said = [line.partition(" ")[2] for line in done.stderr.splitlines() if "slimbake: " in line]
        raise SetupError("\n".join(said[-4:]) or f"the build failed\n{done.stderr.strip()[-2000:]}")


PROJECT = "slimbake.project"  # a label of images, and so of every container that runs from them
FLEET = "slimbake.fleet"  # on what `up` and `run` make: only that is for `down` to remove


def remove_dangling(project: str) -> list[str]:
    """Remove the images of a project that lost their names to newer ones; their ids."""
    filters = ("--filter=dangling=true", f"--filter=label={PROJECT}={project}")
    found = call("image", "ls", "--quiet", "--no-trunc", *filters).split()
    form = "--format={{.Id}} {{len .RepoTags}}"
    names = call("image", "inspect", form, *found).splitlines() if found else ()
    nameless = (line.removesuffix(" 0") for line in names if line.endswith(" 0"))
    return [name for name in nameless if removed(name)]


def removed(image: str) -> bool:
    """Remove an image; false where a container still runs it."""
    try:
        call("image", "rm", image)
    except SetupError:
        return False
    return True
