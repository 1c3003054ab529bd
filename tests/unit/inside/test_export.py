"""The program that exports models, as far as it needs no torch: what a folder holds, and what is
said of faults.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.unit.programs import written

from slimbake.inside.export import encoder, model, quantise
from slimbake.inside.export.tracing import ExportError


def beside(folder: Path, files: dict[str, Any]) -> Path:
    for name, value in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(value))
    return folder


# --- the folder


def test_the_program_tells_a_fault_of_the_folder_without_torch_and_without_a_traceback(
    tmp_path: Path,
) -> None:
    words = [tmp_path / "nothing", tmp_path / "out", "--precision=int8"]
    done = subprocess.run(
        [sys.executable, "-S", str(written("export", tmp_path)), "export", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"slimbake: {tmp_path}/nothing: there is no config.json, which says what the model is; name"
        " the folder that save_pretrained of transformers wrote; `inference: torch` runs this"
        " service as it is\n"
    )
    assert not (tmp_path / "out").exists()


def test_the_options_of_a_precision_are_read_under_the_manifest_s_keys() -> None:
    words = ["--precision=int8", "--exclude=-a", "--exclude=b c"]
    assert model.export_arguments("export", ["/in", "/out", *words]) == (
        Path("/in"),
        Path("/out"),
        {"type": "int8", "exclude": ["-a", "b c"]},
    )


# --- pooling and length


POOLING = "1_Pooling/config.json"


@pytest.mark.parametrize(
    ("files", "pooling"),
    [
        ({}, "mean"),
        ({POOLING: {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}}, "mean"),
        ({POOLING: {"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}}, "cls"),
        ({POOLING: {"pooling_mode": "cls"}}, "cls"),
    ],
)
def test_pooling_is_what_sentence_transformers_stored(
    tmp_path: Path, files: dict[str, Any], pooling: str
) -> None:
    assert encoder._pooling(beside(tmp_path, files)) == pooling


BOTH = {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({POOLING: {"pooling_mode_max_tokens": True}}, "by pooling_mode_max_tokens, not by mean"),
        ({POOLING: BOTH}, "pools by"),
        ({POOLING: {"pooling_mode_mean_tokens": False}}, "pools by nothing"),
        ({"modules.json": [{"type": "a.models.Dense"}]}, "steps that are not exported: Dense"),
    ],
)
def test_pooling_that_the_graph_would_not_hold_is_refused(
    tmp_path: Path, files: dict[str, Any], words: str
) -> None:
    with pytest.raises(ExportError, match="`inference: torch`") as caught:
        encoder._pooling(beside(tmp_path, files))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("files", "tokenizer", "positions", "length"),
    [
        ({"sentence_bert_config.json": {"max_seq_length": 256}}, 512, 512, 256),
        ({"sentence_bert_config.json": {"max_seq_length": None}}, 512, 514, 512),
        ({}, 10**30, 384, 384),
    ],
)
def test_texts_are_read_as_far_as_the_model_is_said_to_read(
    tmp_path: Path, files: dict[str, Any], tokenizer: int, positions: int, length: int
) -> None:
    model = SimpleNamespace(config=SimpleNamespace(max_position_embeddings=positions))
    read = encoder._max_length(
        beside(tmp_path, files), model, SimpleNamespace(model_max_length=tokenizer)
    )
    assert read == length


@pytest.mark.parametrize(("padding", "length"), [(None, 514), (0, 513), (1, 512)])
def test_places_that_positions_keep_for_padding_are_none_of_a_text(
    tmp_path: Path, padding: int | None, length: int
) -> None:
    table = SimpleNamespace(padding_idx=padding)
    model = SimpleNamespace(
        config=SimpleNamespace(max_position_embeddings=514),
        embeddings=SimpleNamespace(position_embeddings=table),
    )
    read = encoder._max_length(tmp_path, model, SimpleNamespace(model_max_length=10**30))
    assert read == length


def test_a_model_without_any_limit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="how long a text may be"):
        encoder._max_length(
            tmp_path,
            SimpleNamespace(config=SimpleNamespace()),
            SimpleNamespace(model_max_length=10**30),
        )


# --- what is excluded

NODES = {
    "encoder.layer.0.attention.self.query/MatMul": "MatMul",
    "encoder.layer.0.output.dense/MatMul": "MatMul",
    "encoder.layer.1.output.dense/MatMul": "MatMul",
    "embeddings.word_embeddings/Gather": "Gather",
}


def graph() -> Any:
    return SimpleNamespace(
        graph=SimpleNamespace(
            node=[SimpleNamespace(name=name, op_type=kind) for name, kind in NODES.items()]
        )
    )


@pytest.mark.parametrize(
    ("exclude", "kinds", "names"),
    [
        ([], [], []),
        (["Gather"], ["Gather"], []),
        (["*.output.dense/MatMul"], [], [name for name in NODES if ".output." in name]),
        (
            ["encoder.layer.1.*", "encoder.layer.1.output.dense/MatMul"],
            [],
            ["encoder.layer.1.output.dense/MatMul"],
        ),
    ],
)
def test_operators_and_nodes_are_excluded_by_name(
    exclude: list[str], kinds: list[str], names: list[str]
) -> None:
    assert quantise._excluded(graph(), exclude) == (kinds, names)


def test_what_is_excluded_and_not_there_is_an_error_that_says_what_is() -> None:
    with pytest.raises(
        ExportError,
        match=r"no operator or node 'encoder.layer.7.\*': operators are Gather, MatMul; nodes",
    ):
        quantise._excluded(graph(), ["encoder.layer.7.*"])
