from dataclasses import dataclass
from pathlib import Path

import pytest

from atlas_common.settings import SettingsError, Url, read


@dataclass(frozen=True, kw_only=True)
class Sample:
    name: str
    storage_url: Url = "http://storage:8002"
    batch: int = 16
    ratio: float = 0.5
    verbose: bool = False
    weights: Path = Path("/weights")


def test_what_the_environment_does_not_say_takes_its_default() -> None:
    assert read(Sample, {"NAME": "x"}) == Sample(name="x")


def test_each_field_is_read_from_its_upper_case_name() -> None:
    environ = {
        "NAME": "x",
        "STORAGE_URL": "https://10.0.0.1:80/base/",
        "BATCH": "4",
        "RATIO": "1e-3",
        "VERBOSE": "True",
        "WEIGHTS": "w",
        "UNRELATED": "kept out",
    }
    assert read(Sample, environ) == Sample(
        name="x",
        storage_url="https://10.0.0.1:80/base",
        batch=4,
        ratio=0.001,
        verbose=True,
        weights=Path("w"),
    )


def test_all_problems_are_told_at_once_each_by_its_variable() -> None:
    environ = {
        "STORAGE_URL": "storage:8002",
        "BATCH": "4.5",
        "RATIO": "",
        "VERBOSE": "no",
        "WEIGHTS": "",
    }
    with pytest.raises(SettingsError) as caught:
        read(Sample, environ)
    assert caught.value.problems == (
        "NAME: is not set",
        "STORAGE_URL: must be an address such as http://storage:8002, got 'storage:8002'",
        "BATCH: must be a whole number, got '4.5'",
        "RATIO: must be a number, got ''",
        "VERBOSE: must be true, false, 1 or 0, got 'no'",
        "WEIGHTS: must not be empty, got ''",
    )


@pytest.mark.parametrize(
    "text", ["", "http://", "ftp://a", "http://a:port", "http://a:99999", "http://[::1"]
)
def test_an_address_that_cannot_be_called_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="STORAGE_URL: must be an address"):
        read(Sample, {"NAME": "x", "STORAGE_URL": text})
