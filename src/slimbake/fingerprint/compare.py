"""Compares what targets depend on in two states, and says why each is rebuilt or not. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from slimbake.config.model import Budget
from slimbake.fingerprint.model import Account, Input
from slimbake.plan.model import Target

Status = Literal["same", "changed", "new", "gone", "unknown"]
_NAMED = 3  # files of one folder, before they are counted


@dataclass(frozen=True, slots=True)
class State:
    """The targets of one state of a repository, and what each depends on."""

    accounts: tuple[Account, ...] = ()
    targets: tuple[Target, ...] = ()
    # service -> the limits of its image
    budgets: Mapping[str, Budget] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TargetChange:
    """What became of one target, and why."""

    target: str
    service: str  # the service that it belongs to, "" for what is shared
    status: Status
    reasons: tuple[str, ...]  # none where it is the same

    @property
    def rebuilt(self) -> bool:
        """Whether it is to be built: what cannot be known is."""
        return self.status in ("changed", "new", "unknown")


def compare(before: State, after: State) -> tuple[TargetChange, ...]:
    """What became of every target: in the order of `after`, then those that have gone."""
    old = {account.target: account for account in before.accounts}
    new = {account.target for account in after.accounts}
    changes = []
    for account, target in zip(after.accounts, after.targets, strict=True):
        status, reasons = _change(account, old.get(target.name))
        # Also an image that is the same is measured against a new budget.
        if status == "same" and before.budgets.get(target.name) != after.budgets.get(target.name):
            status, reasons = "changed", ("its budget changed",)
        changes.append(TargetChange(target.name, target.service, status, reasons))
    for target in before.targets:
        if target.name not in new:
            reason = "is no longer in the manifest"
            changes.append(TargetChange(target.name, target.service, "gone", (reason,)))
    return tuple(changes)


def _change(new: Account, old: Account | None) -> tuple[Status, tuple[str, ...]]:
    if old is None:
        return "new", ("was not there before",)
    if new.unknown:
        return "unknown", new.unknown
    if new.fingerprint == old.fingerprint:
        return "same", ()
    reasons = tuple(_reasons(old, new))
    return "changed", reasons or ("could not be known before",)


def _reasons(old: Account, new: Account) -> Iterator[str]:
    before = {(entry.kind, entry.name): entry for entry in old.inputs}
    after = {(entry.kind, entry.name): entry for entry in new.inputs}
    for key in sorted(before.keys() | after.keys(), key=lambda key: (key[0] == "settings", key)):
        one, other = before.get(key), after.get(key)
        if one is None or other is None or one.digest != other.digest:
            yield _reason(" ".join(key).removeprefix("target "), one, other)


def _reason(name: str, old: Input | None, new: Input | None) -> str:
    if not old or not new:
        return f"{name} was {'added' if new else 'removed'}"
    if old.parts or new.parts:
        return f"{name}: {', '.join(_files(dict(old.parts), dict(new.parts)))}"
    return f"{name} changed"


def _files(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    """What became of the files of a folder, a few of them by name."""
    paths = sorted(path for path in old.keys() | new.keys() if old.get(path) != new.get(path))
    for path in paths[:_NAMED]:
        shown = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        if path not in old:
            yield f"{shown} added"
        elif path not in new:
            yield f"{shown} removed"
        else:
            yield f"{shown} edited"
    if len(paths) > _NAMED:
        yield f"{len(paths) - _NAMED} more"
