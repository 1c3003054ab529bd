"""Exports a torch model as a graph for ONNX Runtime, inside a build.

The same input gives the same bytes. Nothing asks a network.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from .decoder import export_decoder
from .encoder import export_encoder
from .quantise import quantise_graph
from .task import model_task
from .tracing import STAY, ExportError, check_graph

GRAPH = "model.onnx"
_LICENCE = re.compile(r"(licen[cs]e|copying|copyright|notice)", re.IGNORECASE)


def run_export(arguments: Sequence[str]) -> None:
    """The program `export FOLDER OUT PRECISION`; FOLDER is as transformers saves it."""
    folder, out, precision = arguments
    export_model(Path(folder), Path(out), precision)


def export_model(folder: Path, out: Path, precision: str) -> None:
    """Write a graph and all that a service needs to run it into `out`.

    That is `model.onnx` (and `model.onnx.data` where protobuf's limit requires it),
    `tokenizer.json`, `config.json`, licences, and `inference.json` with the digests of the graph's
    files. Raises ExportError where the model cannot be loaded, traced, quantised or checked.
    """
    # Ask no hub and show no progress.
    os.environ |= {
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TRANSFORMERS_VERBOSITY": "error",
    }
    task = model_task(folder)
    out.mkdir(parents=True, exist_ok=True)
    exporter = export_decoder if task == "generation" else export_encoder
    _accompany(folder, out)
    inference = exporter(folder, out)
    quantise_graph(out / GRAPH, precision)
    check_graph(out / GRAPH)
    files = sorted(path.name for path in out.glob(f"{GRAPH}*"))
    inference |= {
        "task": task,
        "precision": precision,
        "sha256": {name: _hashed(out / name) for name in files},
    }
    text = json.dumps(inference, indent=1, sort_keys=True)
    (out / "inference.json").write_text(f"{text}\n", encoding="utf-8")


def _hashed(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _accompany(folder: Path, out: Path) -> None:
    """Copy what goes with the graph: the tokenizer without limits, the config, licences."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        backend = tokenizer.backend_tokenizer
    except (OSError, ValueError, AttributeError, ImportError) as error:
        raise ExportError(
            f"{folder} holds no tokenizer that the package tokenizers can run (tokenizer.json):"
            f" {error}; {STAY}"
        ) from error
    backend.no_truncation()
    backend.no_padding()
    backend.save(str(out / "tokenizer.json"))
    for path in sorted(folder.iterdir()):
        if path.is_file() and (path.name == "config.json" or _LICENCE.search(path.name)):
            shutil.copyfile(path, out / path.name)
