"""The schema file: valid, described, in step with the model, found in a checkout and in a wheel."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slimbake.catalogue.read import PASSES_SCHEMA
from slimbake.config import MANIFEST_SCHEMA, model
from slimbake.config.schema import read_schema, refusals
from slimbake.config.words import TRUTH, Word

TEXT = MANIFEST_SCHEMA.read_text("utf-8")
SCHEMA: dict[str, Any] = json.loads(TEXT)


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
    patterns = re.findall(r'"pattern": ', TEXT)
    words = re.findall(r'"pattern": "[^\n]*",\n\s*"patternErrorMessage": "', TEXT)
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


NAMES = st.from_regex(r"[a-zA-Z0-9][a-z0-9._ -]{0,3}", fullmatch=True)
SCALARS = st.sampled_from((None, "", *TRUTH, Word("1.5")))
ANYTHING = st.one_of(
    SCALARS, st.integers(-2, 70_000), NAMES, st.lists(NAMES), st.dictionaries(NAMES, NAMES)
)


def values(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values near a schema: many hold, and each keyword refuses some."""
    near: list[st.SearchStrategy[Any]] = [ANYTHING]
    if "pattern" in schema:
        near.append(st.from_regex(schema["pattern"]).map(str.strip))
    if "enum" in schema:
        near.append(st.sampled_from(schema["enum"]))
    if "items" in schema:
        near.append(st.lists(values(schema["items"]), max_size=3))
    if "object" in schema.get("type", ""):
        keys = {key: values(each) for key, each in schema.get("properties", {}).items()}
        other = schema.get("additionalProperties") or {}
        named = values(schema.get("propertyNames", {})).filter(lambda key: isinstance(key, str))
        known = st.fixed_dictionaries({}, optional=keys)
        more = st.dictionaries(named, values(other), max_size=2)
        near += (
            [known, st.builds(lambda one, two: two | one, known, more)] if keys else [more, more]
        )
    return st.one_of(near)


def as_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: as_json(each) for key, each in value.items()}
    if isinstance(value, list):
        return [as_json(each) for each in value]
    return json.loads(value.text) if isinstance(value, Word) else value


def below(schema: Any) -> Iterator[Any]:
    """Each schema in a schema."""
    yield schema
    for key in ("items", "additionalProperties", "propertyNames"):
        if isinstance(schema.get(key), dict):
            yield from below(schema[key])
    for each in schema.get("properties", {}).values():
        yield from below(each)


SCHEMAS = {
    json.dumps({**each, "description": "", "examples": (), "default": ""}): each
    for file in (MANIFEST_SCHEMA, PASSES_SCHEMA)
    for each in below(read_schema(file))
}


@settings(max_examples=500)
@given(st.data())
def test_jsonschema_refuses_the_same(data: st.DataObject) -> None:
    schema = data.draw(st.sampled_from(list(SCHEMAS.values())))
    value = data.draw(values(schema))
    theirs = jsonschema.Draft202012Validator(schema).iter_errors(as_json(value))
    assert {(each.path, each.keyword, each.is_key) for each in refusals(value, schema)} == {
        (tuple(each.absolute_path), each.validator, "propertyNames" in each.absolute_schema_path)
        for each in theirs
    }


def test_a_pattern_ends_where_the_text_ends() -> None:
    assert [each.keyword for each in refusals("a\n", {"pattern": "^a$"})] == ["pattern"]
