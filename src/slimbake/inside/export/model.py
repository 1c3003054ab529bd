"""Exports a torch model as a graph for ONNX Runtime, inside a build.

The same input gives the same bytes. Nothing asks a network.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..model_task import Task, UnsupportedModelError, files_in, model_task
from ..step import hashed
from .decoder import export_decoder
from .encoder import export_encoder
from .quantise import quantise_graph
from .tracing import STAY, ExportError, check_graph

GRAPH = "model.onnx"
_LICENCE = re.compile(r"(licen[cs]e|copying|copyright|notice)", re.IGNORECASE)


def export_arguments(prog: str, arguments: Sequence[str]) -> tuple[Path, Path, dict[str, Any]]:
    """FOLDER, OUT and the options of a precision, under the keys that the manifest has for them."""
    parser = argparse.ArgumentParser(prog=prog, allow_abbrev=False)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    kinds = ("fp32", "fp16", "int8", "int4")
    parser.add_argument("--precision", dest="type", choices=kinds, required=True)
    parser.add_argument("--exclude", action="append")
    given = vars(parser.parse_args(arguments))
    folder, out = given.pop("folder"), given.pop("out")
    return folder, out, {key: value for key, value in given.items() if value is not None}


def run_export(arguments: Sequence[str]) -> None:
    """The program `export FOLDER OUT --precision TYPE ...`; FOLDER is as transformers saves it."""
    export_model(*export_arguments("export", arguments))


def export_model(folder: Path, out: Path, precision: dict[str, Any]) -> None:
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
    task = _task(folder)
    out.mkdir(parents=True, exist_ok=True)
    exporter = export_decoder if task == "generation" else export_encoder
    inference = exporter(folder, out)
    _accompany(folder, out)
    quantise_graph(out / GRAPH, precision)
    check_graph(out / GRAPH)
    files = sorted(path.name for path in out.glob(f"{GRAPH}*"))
    inference |= {
        "task": task,
        "precision": precision["type"],
        "sha256": {name: hashed(out / name) for name in files},
    }
    text = json.dumps(inference, indent=1, sort_keys=True)
    (out / "inference.json").write_text(f"{text}\n", encoding="utf-8")


def _task(folder: Path) -> Task:
    """What the model is for. Raises ExportError where its export would be another model."""
    try:
        return model_task(files_in(folder))
    except UnsupportedModelError as error:
        fix = f"; {error.fix}" if error.fix else ""
        raise ExportError(f"{folder}: {error.message}{fix}; {STAY}") from None


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
