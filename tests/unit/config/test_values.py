"""Manifests as people write them, and their values: all but those that nothing was said of."""

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from slimbake.config import manifest
from slimbake.errors import Problem

CASES = sorted((Path(__file__).parents[2] / "fixtures/manifests").iterdir())


def values(of: Any) -> Any:
    if isinstance(of, tuple):
        return [values(each) for each in of]
    if isinstance(of, Problem):
        return str(of)
    if not is_dataclass(of):
        return of
    found = {each: getattr(of, each.name) for each in fields(of)}
    return {
        field.name: values(value)
        for field, value in found.items()
        if value != field.default and not isinstance(value, Path)
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_manifest_has_these_values(case: Path, golden: Callable[[Path, str], None]) -> None:
    found = values(manifest(case / "services.yaml"))
    text = yaml.safe_dump(found, sort_keys=False, width=100, default_flow_style=None)
    golden(case / "values.yaml", text)
