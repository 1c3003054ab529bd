"""Values as YAML, for the tools that read it."""

from __future__ import annotations

from typing import Any

import yaml


class _Plain(yaml.SafeDumper):
    """Without aliases, which a person would have to follow."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def document(value: Any) -> str:
    """A value as YAML, its keys in their own order."""
    return str(yaml.dump(value, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=100))
