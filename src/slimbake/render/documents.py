"""Values as YAML, for the tools that read it."""

from __future__ import annotations

from typing import Any

import yaml

# libyaml's emitter, where PyYAML has it: it is an order faster.
_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Plain(_Dumper):  # type: ignore[misc]
    """Without aliases, which a person would have to follow."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


class Override(dict[str, Any]):
    """A mapping that takes the place of what Compose files before this one say."""


_Plain.add_representer(
    Override, lambda dumper, value: dumper.represent_mapping("!override", dict(value))
)


def document(value: Any) -> str:
    """A value as YAML, its keys in their own order."""
    return str(yaml.dump(value, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=100))
