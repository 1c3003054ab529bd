"""The schema file: valid, described, in step with the model, found in a checkout and in a wheel."""

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from slimbake.config import MANIFEST_SCHEMA, model

ROOT = Path(__file__).parents[3]
TEXT = MANIFEST_SCHEMA.read_text("utf-8")
SCHEMA: dict[str, Any] = json.loads(TEXT)


def properties(schema: Any, at: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(schema, dict):
        for name, each in schema.get("properties", {}).items():
            yield f"{at}.{name}", each
        for key, each in schema.items():
            if key not in ("if", "then", "else", "allOf"):  # these describe no keys
                yield from properties(each, f"{at}.{key}")


def test_the_schema_is_valid_by_its_own_draft() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_every_key_is_described_for_editors_with_an_example_that_it_takes() -> None:
    keys = [*properties(SCHEMA)]
    assert len(keys) > 80
    for at, each in keys:
        target = SCHEMA["$defs"].get(each.get("$ref", "").removeprefix("#/$defs/"), {})
        assert (each.get("description") or target.get("description", "")).endswith("."), at
        examples = each.get("examples") or target.get("examples")
        assert examples, f"{at} has no example"
        check = jsonschema.Draft202012Validator({**each, "$defs": SCHEMA["$defs"]})
        for example in examples:
            assert not list(check.iter_errors(example)), f"{at}: {example}"


def test_the_catalogue_of_schemastore_names_the_same_schema() -> None:
    entry = json.loads((ROOT / "docs/reference/schemastore.json").read_text("utf-8"))
    assert entry["url"] == SCHEMA["$id"]
    assert entry.keys() == {"name", "description", "fileMatch", "url"}


def test_every_pattern_says_in_words_what_it_allows() -> None:
    patterns = re.findall(r'"pattern": ', TEXT)
    words = re.findall(r'"pattern": "[^\n]*",\n\s*"patternErrorMessage": "', TEXT)
    assert len(patterns) == len(words) > 5


@pytest.mark.parametrize(
    ("schema", "value", "also"),
    [
        (SCHEMA, model.Manifest, {"file", "indexes", "warnings"}),
        (SCHEMA["$defs"]["base"], model.BaseEntry, {"name"}),
        (
            SCHEMA["$defs"]["service"],
            model.ServiceEntry,
            {"name", "ignore", "trivial", "home", "keeps_home"},
        ),
        (SCHEMA["$defs"]["service"]["properties"]["healthcheck"], model.Healthcheck, {"off"}),
        (SCHEMA["$defs"]["service-variant"], model.VariantEntry, {"name"}),
        (SCHEMA["$defs"]["external"], model.ExternalEntry, {"name", "version"}),
        (SCHEMA["$defs"]["budget"], model.Budget, set()),
        (SCHEMA["properties"]["ci"], model.Ci, set()),
        (SCHEMA["properties"]["layers"], model.LayersEntry, set()),
    ],
)
def test_schema_and_model_share_keys(schema: dict[str, Any], value: Any, also: set[str]) -> None:
    called = {"remove": "removal", "keep": "removal", "from": "image"}
    keys = {called.get(key, key.replace("-", "_")) for key in schema["properties"]}
    assert keys | also == {field.name for field in dataclasses.fields(value)}
    assert schema["additionalProperties"] is False
