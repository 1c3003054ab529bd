"""Settings: a frozen dataclass, each field read from the environment variable of its upper-case
name.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints
from urllib.parse import urlsplit

Settings = TypeVar("Settings")
Url = Annotated[str, "the address of a service"]


class SettingsError(ValueError):
    """The environment is wrong; `problems` has one text per variable, each beginning with its name."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def read(kind: type[Settings], environ: Mapping[str, str] = os.environ) -> Settings:
    """Fill the dataclass `kind` from the environment; a variable that is unset takes the field's
    default.

    Fields may be str, int, float, bool, Path or Url. Raises SettingsError with all problems at
    once.
    """
    types = get_type_hints(kind, include_extras=True)
    values: dict[str, Any] = {}
    problems: list[str] = []
    for field in fields(kind):  # type: ignore[arg-type]  # typeshed's DataclassInstance is not public
        variable = field.name.upper()
        if variable in environ:
            try:
                values[field.name] = _CONVERT[types[field.name]](environ[variable])
            except ValueError as error:
                problems.append(f"{variable}: {error}, got {environ[variable]!r}")
        elif field.default is MISSING and field.default_factory is MISSING:
            problems.append(f"{variable}: is not set")
    if problems:
        raise SettingsError(tuple(problems))
    return kind(**values)


def url(text: str) -> str:
    """Check a service's address and drop its closing slash; raises ValueError for all but http and
    https.
    """
    try:
        parts = urlsplit(text)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port or a bracket that makes no sense
        sound = False
    if not sound:
        raise ValueError("must be an address such as http://storage:8002")
    return text.rstrip("/")


def _text(text: str) -> str:
    if not text:
        raise ValueError("must not be empty")
    return text


def _number(kind: type[int] | type[float], text: str) -> int | float:
    try:
        return kind(text)
    except ValueError:
        raise ValueError("must be a whole number" if kind is int else "must be a number") from None


def _boolean(text: str) -> bool:
    try:
        return {"1": True, "true": True, "0": False, "false": False}[text.lower()]
    except KeyError:
        raise ValueError("must be true, false, 1 or 0") from None


_CONVERT: dict[object, Callable[[str], Any]] = {
    str: _text,
    int: lambda text: _number(int, text),
    float: lambda text: _number(float, text),
    bool: _boolean,
    Path: lambda text: Path(_text(text)),
    Url: url,
}
