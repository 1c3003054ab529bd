"""The compose file that a repository has of its own, in its root."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, cast

import yaml

# In the order in which Compose looks for them.
OWN = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")

_UNREADABLE = (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError, StopIteration)


class _Loader(yaml.CSafeLoader):
    """Takes Compose's tags: `!reset` leaves nothing of a key, `!override` its value."""


def _tagged(loader: _Loader, tag: str, node: yaml.Node) -> Any:
    if tag == "reset":
        return None
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_scalar(cast("yaml.ScalarNode", node))


_Loader.add_multi_constructor("!", _tagged)


@dataclass(frozen=True, slots=True)
class OwnCompose:
    """A compose file, and what it says of each of its services."""

    name: str = ""
    keys: Mapping[str, frozenset[str]] = field(default_factory=dict)  # by service
    text: str = ""

    @property
    def services(self) -> frozenset[str]:
        return frozenset(self.keys)

    @property
    def built(self) -> frozenset[str]:
        """Those that it builds: bake makes targets of them."""
        return frozenset(name for name, keys in self.keys.items() if "build" in keys)


@lru_cache(maxsize=8)  # each service that starts beside others asks for it
def defined(name: str, text: str) -> OwnCompose:
    """What the compose file of this name and text defines itself; nothing of one that cannot be
    read.
    """
    with contextlib.suppress(*_UNREADABLE):
        keys = {}
        services = yaml.load(text, Loader=_Loader)["services"]  # noqa: S506 - of safe values
        for service, settings in services.items():
            keys[service] = frozenset(settings if isinstance(settings, dict) else ())
        return OwnCompose(name, keys, text)
    return OwnCompose()


def dotenv(text: str) -> dict[str, str]:
    """The variables of a `.env` file."""
    variables: dict[str, str] = {}
    for line in text.splitlines():
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if equals and not name.startswith("#"):
            value = value.strip()
            quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
            variables[name.strip()] = value[1:-1] if quoted else value.partition(" #")[0].strip()
    return variables
