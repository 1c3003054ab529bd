"""The schema file: valid, described, in step with the model, found in a checkout and in a wheel."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from slimbake.config import data, model

SCHEMA: dict[str, Any] = json.loads(data.schema_text())


def properties(schema: Any, at: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(schema, dict):
        for name, each in schema.get("properties", {}).items():
            yield f"{at}.{name}", each
        for key, each in schema.items():
            yield from properties(each, f"{at}.{key}")


def test_the_schema_is_valid_by_its_own_draft() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_every_key_is_described_for_editors() -> None:
    for at, each in properties(SCHEMA):
        target = SCHEMA["$defs"].get(each.get("$ref", "").removeprefix("#/$defs/"), {})
        assert (each.get("description") or target.get("description", "")).endswith("."), at


def test_every_pattern_says_in_words_what_it_allows() -> None:
    patterns = re.findall(r'"pattern": ', data.schema_text())
    words = re.findall(r'"pattern": "[^\n]*",\n\s*"patternErrorMessage": "', data.schema_text())
    assert len(patterns) == len(words) > 5


@pytest.mark.parametrize(
    ("schema", "value", "also"),
    [
        (SCHEMA, model.Manifest, {"file", "layer_limit"}),
        (SCHEMA["$defs"]["base"], model.BaseEntry, {"name"}),
        (SCHEMA["$defs"]["service"], model.ServiceEntry, {"name", "ignore"}),
        (SCHEMA["$defs"]["service-variant"], model.VariantEntry, {"name"}),
        (SCHEMA["$defs"]["precision"], model.Precision, set()),
        (SCHEMA["$defs"]["external"], model.ExternalEntry, {"name"}),
        (SCHEMA["$defs"]["budget"], model.Budget, set()),
        (SCHEMA["properties"]["optimize"], model.Optimize, {"none"}),
        (SCHEMA["properties"]["ci"], model.Ci, set()),
        (SCHEMA["$defs"]["optimize"], model.Optimize, {"none", "explain"}),
    ],
)
def test_the_schema_and_the_model_have_the_same_keys(
    schema: dict[str, Any], value: Any, also: set[str]
) -> None:
    keys = {key.replace("-", "_") for key in schema["properties"]}
    assert keys | also == {field.name for field in dataclasses.fields(value)}
    assert schema["additionalProperties"] is False


def test_in_a_checkout_everything_lies_at_the_root_of_the_repository() -> None:
    root = Path(__file__).parents[3]
    assert data.data_root() == root
    assert data.template_root() == root / "templates"


def test_in_a_wheel_everything_lies_in_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "_data").mkdir()
    (tmp_path / "_data" / "services.schema.json").write_text("{}")
    monkeypatch.setattr(data, "_PACKAGE", tmp_path)
    assert data.schema_text() == "{}"
    assert data.template_root() == tmp_path / "_data" / "templates"
