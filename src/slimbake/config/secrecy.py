"""Which variables hold a secret, by their names and values. Pure."""

from __future__ import annotations

import re
from typing import Any

from slimbake.config.document import KeyPath
from slimbake.config.report import ProblemReport

Raw = dict[str, Any]

# As Docker's own check SecretsUsedInArgOrEnv has them.
SECRET = re.compile(
    r"(?:^|_)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|$)", re.I
)
OF_A_FILE = re.compile(r"_FILE$", re.I)  # such a variable names where a value stands
# What is no secret under any name: nothing, a number, a switch, a reference, a path.
_PLAIN = re.compile(r"\s*|[\d.]+|true|false|yes|no|on|off|none|\$\{.*\}|(?:/[\w.-]+){2,}/?", re.I)
WITH_PASSWORD = re.compile(r"\w+://[^/\s:@]*:[^/\s@]+@")


def looks_secret(name: str, value: str) -> bool:
    """Whether a variable looks like one that nobody but the service is to know."""
    return bool(SECRET.search(name) or WITH_PASSWORD.search(value))


def secrets_written(services: Raw, report: ProblemReport) -> None:
    """Warn of variables of images that look like a secret."""
    for service, said in services.items():
        at: KeyPath = ("services", service)
        places = {(*at, "env"): said.get("env", {})} | {
            (*at, "variants", name, "env"): variant.get("env", {})
            for name, variant in said.get("variants", {}).items()
        }
        for path, variables in places.items():
            for name, value in variables.items():
                plain = OF_A_FILE.search(name) or _PLAIN.fullmatch(value)
                if looks_secret(name, value) and not plain:
                    report.warning(
                        (*path, name),
                        "it looks like a secret, and whoever has the repository or an image can"
                        " read it",
                        f'`environment: {{{name}: "${{{name}}}"}}` takes it from the shell or `.env`'
                        " where a container starts; `secrets` are for builds",
                    )
