import json
import logging
import sys
from collections.abc import Iterator

import pytest

from atlas_common import logs


@pytest.fixture(autouse=True)
def _untouched_root() -> Iterator[None]:
    root, access = logging.getLogger(), logging.getLogger("uvicorn.access")
    before = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before
    access.filters.clear()


def test_a_record_is_one_json_line_with_its_extras(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("storage")
    logging.getLogger("a.b").info("two\nlines of %s", "text", extra={"stored": 3})
    (line,) = capsys.readouterr().err.splitlines()
    record = json.loads(line)
    assert record.pop("time").endswith("+00:00")
    assert record == {
        "level": "info",
        "service": "storage",
        "logger": "a.b",
        "message": "two\nlines of text",
        "stored": 3,
    }


def test_a_traceback_stays_within_its_line() -> None:
    try:
        raise KeyError("gone")
    except KeyError:
        record = logging.makeLogRecord({"msg": "failed", "exc_info": sys.exc_info()})
    line = logs.JsonLines("storage").format(record)
    assert "\n" not in line
    assert json.loads(line)["traceback"].endswith("KeyError: 'gone'")


def test_health_checks_are_left_out_of_the_access_log(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("storage")
    access = logging.getLogger("uvicorn.access")
    for path in ("/health", "/count"):
        access.info('%s - "%s %s HTTP/%s" %d', "10.0.0.1:5", "GET", path, "1.1", 200)
    (line,) = capsys.readouterr().err.splitlines()
    assert "GET /count" in json.loads(line)["message"]
