"""What a target's content depends on, as values; and the fingerprint that it comes to. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

# of layers as slimbake lays them out, and of what is hashed here: another one builds everything
# again
FORMAT = "2"
BELOW = "it uses "  # how a reason begins that is another target's
_TAG_DIGITS = 40

Parts = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ExternalDigests:
    """What externals are where a build takes place, if not what the locks say."""

    # name -> changes when what it stands for does
    digests: Mapping[str, str] = field(default_factory=dict)
    standins: tuple[str, ...] = ()  # those that a local image stands in for


@dataclass(frozen=True, slots=True, order=True)
class Input:
    """One thing that a target depends on: what it is, which one, and a digest that changes with its
    content.
    """

    # Dockerfile, settings, variable, lock, layer, program, context, folder, external, image,
    # target...
    kind: str
    name: str
    digest: str
    # of a folder: each path in it, and its own digest
    parts: Parts = field(default=(), compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Account:
    """All that one target depends on, in a stable order; and why it cannot be known, where it
    cannot.
    """

    target: str
    inputs: tuple[Input, ...]
    unknown: tuple[str, ...]
    fingerprint: str  # "sha256:<64 hex>"; "" = cannot be known


def account(target: str, inputs: Iterable[Input], unknown: Iterable[str]) -> Account:
    """The account of a target, with its fingerprint if all of it is known."""
    ordered, reasons = tuple(sorted(set(inputs))), tuple(dict.fromkeys(unknown))
    return Account(target, ordered, reasons, "" if reasons else _fingerprint(ordered))


def without(full_account: Account, left_out: Input) -> str:
    """The fingerprint of all that a target depends on but one thing."""
    return _fingerprint(entry for entry in full_account.inputs if entry != left_out)


def _fingerprint(ordered: Iterable[Input]) -> str:
    # No name and no digest holds a NUL, and each input has three words: no two lists come to the
    # same bytes.
    parts = [FORMAT]
    for entry in ordered:
        parts += (entry.kind, entry.name, entry.digest)
    return digest("\0".join(parts))


def digest(content: str | bytes) -> str:
    """The SHA-256 of a text or bytes, as registries write it."""
    data = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def fingerprint_tag(value: str) -> str:
    """The tag of images with this fingerprint: `fp-` and 40 hex digits. ValueError for what is no
    fingerprint.
    """
    kind, _, digits = value.partition(":")
    if kind != "sha256" or len(digits) != hashlib.sha256().digest_size * 2:
        raise ValueError(f"no fingerprint: {value!r}")
    return f"fp-{digits[:_TAG_DIGITS]}"
