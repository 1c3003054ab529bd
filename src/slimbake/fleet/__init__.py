"""The manifest resolved: the only place that knows what things are called. Pure."""

from __future__ import annotations

from slimbake.fleet.model import Fleet, Scope
from slimbake.fleet.resolve import resolve, with_digests

__all__ = ["Fleet", "Scope", "resolve", "with_digests"]
