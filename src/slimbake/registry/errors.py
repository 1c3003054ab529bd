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
    names = {each.__name__ for each in type(error).__mro__}  # not imported for this: it costs 0.1 s
    if "Timeout" in names:
        return "gives no answer in time"
    if "SSLError" in names:
        return "TLS fails"
    if "TooManyRedirects" in names:
        return "redirects without end"
    return "cannot be reached" if "ConnectionError" in names else "answers what cannot be read"
