"""Makes an ONNX graph of a torch model inside a build: `python export.py FOLDER OUT SETTINGS`.

FOLDER holds the model as transformers saves it, SETTINGS is JSON: `{"precision": {"type": "int8", ...}}`. OUT gets
`model.onnx` (and `model.onnx.data` where protobuf's limit asks for it), `tokenizer.json`, `config.json`, licences, and
`inference.json`, which says what a service needs to run the graph, and the digests of the graph's files. The same
input gives the same bytes. No network is asked.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING or __package__:
    from .export_torch import ExportError, out_of_memory
else:
    from export_torch import ExportError, out_of_memory

GRAPH = "model.onnx"
CGROUP = Path("/sys/fs/cgroup")
_LICENCE = re.compile(r"(licen[cs]e|copying|copyright|notice)", re.IGNORECASE)


def main() -> int:
    parser = argparse.ArgumentParser(prog="export")
    for name in ("folder", "out", "settings"):
        parser.add_argument(name, type=Path)
    arguments = parser.parse_args()
    os.umask(0o022)
    # In a process of its own: who runs out of memory inside a limit is killed, and cannot say so itself.
    if child := os.fork():
        return _told(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    try:
        settings = json.loads(arguments.settings.read_text(encoding="utf-8"))
        export(arguments.folder, arguments.out, settings["precision"])
    except ExportError as error:
        print(f"slimbake: {error}", file=sys.stderr)
        return 1
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        print(f"slimbake: the export ran out of memory: {_memory()}", file=sys.stderr)
        return 1
    return 0


def export(folder: Path, out: Path, precision: dict[str, Any]) -> None:
    """Write all that OUT gets. Raises ExportError where the model cannot be had, traced, quantised or checked."""
    _offline()
    task = _task(folder)
    out.mkdir(parents=True, exist_ok=True)
    inference = _module("export_decoder" if task == "generation" else "export_encoder").export(folder, out)
    _accompany(folder, out)
    _module("export_quantise").quantise(out / GRAPH, precision, inference)
    _module("export_torch").check(out / GRAPH)
    files = sorted(path.name for path in out.glob(f"{GRAPH}*"))
    inference |= {"task": task, "precision": precision["type"], "sha256": {name: _hashed(out / name) for name in files}}
    (out / "inference.json").write_text(json.dumps(inference, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _module(name: str) -> Any:
    """A module of the export, imported only now: torch takes seconds, and faults of the folder are told before."""
    from importlib import import_module

    return import_module(f".{name}", __package__) if __package__ else import_module(name)


def _offline() -> None:
    """Ask no hub and show no progress."""
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "TRANSFORMERS_VERBOSITY": "error"}


def _task(folder: Path) -> str:
    """What the model is for, by the class that saved it: `generation` for a causal language model, else `embedding`."""
    path = folder / "config.json"
    if not path.is_file():
        raise ExportError(f"{folder} holds no model: no config.json")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        architectures = list(config.get("architectures") or ())
    except (ValueError, AttributeError, TypeError) as error:
        raise ExportError(f"{path} is no model's config: {error}") from error
    if not list(folder.glob("*.safetensors")):
        raise ExportError(f"{folder} holds no weights: no *.safetensors")
    if config.get("is_encoder_decoder"):
        raise ExportError(
            f"{', '.join(architectures)}: models of an encoder and a decoder cannot be exported; "
            "`inference: torch` runs this service as it is"
        )
    return "generation" if any(name.endswith("ForCausalLM") for name in architectures) else "embedding"


def _accompany(folder: Path, out: Path) -> None:
    """What lies beside the graph: the tokenizer as transformers reads it, without limits; the config; licences."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        backend = tokenizer.backend_tokenizer
    except (OSError, ValueError, AttributeError, ImportError) as error:
        raise ExportError(
            f"{folder} holds no tokenizer that the package tokenizers can run (tokenizer.json): {error}; "
            "`inference: torch` runs this service as it is"
        ) from error
    backend.no_truncation()
    backend.no_padding()
    backend.save(str(out / "tokenizer.json"))
    for path in sorted(folder.iterdir()):
        if path.is_file() and (path.name == "config.json" or _LICENCE.search(path.name)):
            shutil.copyfile(path, out / path.name)


def _told(code: int) -> int:
    """What became of the process that exports; the exit code of this one."""
    if code == -signal.SIGKILL:
        print(f"slimbake: the export was killed, as happens where memory ends: {_memory()}", file=sys.stderr)
    elif code == -signal.SIGILL:
        print("slimbake: the export met an instruction that this CPU has not: export on a newer one", file=sys.stderr)
    elif code < 0:
        print(f"slimbake: the export ended by {signal.Signals(-code).name}", file=sys.stderr)
    return code if code >= 0 else 1


def _memory() -> str:
    """How much memory there is: the container's limit, or else the machine's."""
    there = int(re.findall(r"MemTotal: +(\d+) kB", Path("/proc/meminfo").read_text())[0]) * 1024
    limit = min([there, *_limits()])
    what = "the machine has" if limit == there else "the limit of the build's container is"
    return f"{what} {limit / 1e9:.1f} GB; exporting takes about four times the weights in float32, and 1 GB"


def _limits() -> list[int]:
    """The limits of this process's cgroup, of either version; a container sees its own at the top."""
    groups = [line.split(":", 2)[1:] for line in Path("/proc/self/cgroup").read_text().splitlines()]
    below = [path.lstrip("/") for kind, path in groups if kind in {"", "memory"}]
    files = [
        CGROUP / top / folder / name
        for top, name in (("", "memory.max"), ("memory", "memory.limit_in_bytes"))
        for folder in ("", *below)
    ]
    texts = [path.read_text().strip() for path in files if path.is_file()]
    return [int(text) for text in texts if text.isdigit()]


def _hashed(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    sys.exit(main())
