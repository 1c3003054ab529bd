"""Which variables hold a secret, by their names and values. Pure."""

from __future__ import annotations

import re

# As Docker's own check SecretsUsedInArgOrEnv has them.
SECRET = re.compile(
    r"(?:^|_)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|$)", re.I
)
OF_A_FILE = re.compile(r"_FILE$", re.I)  # such a variable names where a value stands
WITH_PASSWORD = re.compile(r"\w+://[^/\s:@]*:[^/\s@]+@")


def looks_secret(name: str, value: str) -> bool:
    """Whether a variable looks like one that nobody but the service is to know."""
    return bool(SECRET.search(name) or WITH_PASSWORD.search(value))
