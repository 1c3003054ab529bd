"""What a registry did not do, at length for a person and in a few words for a line about many
images. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

from slimbake.errors import BuildError


@dataclass(eq=False)
class RegistryError(BuildError):
    """A registry gave no answer that can be used."""

    why: str = ""  # a few words, without the repository: what many images have in common


def failure_words(error: Exception) -> str:
    """A failure of the network in a few words."""
    names = {base.__name__ for base in type(error).__mro__}  # not imported for this: it costs 0.1 s
    if "AnswerRefused" in names:
        return str(error)
    phrases = {
        "Timeout": "gives no answer in time",
        "SSLError": "TLS fails",
        "TooManyRedirects": "redirects without end",
        "ConnectionError": "cannot be reached",
    }
    return next((phrases[n] for n in phrases if n in names), "answers what cannot be read")
