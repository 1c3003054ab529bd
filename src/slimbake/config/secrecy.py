"""Which variables hold a secret, by their names and values. Pure."""

from __future__ import annotations

import re
from typing import Any

from slimbake.config.document import KeyPath
from slimbake.config.report import ProblemReport

Raw = dict[str, Any]

# As Docker's own check SecretsUsedInArgOrEnv has them, and some that it lacks.
SECRET = re.compile(
    r"(?:^|_)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token"
    r"|passphrase|webhook|dsn|bearer)(?:_|$)",
    re.I,
)
OF_A_FILE = re.compile(r"_FILE$", re.I)  # such a variable names where a value stands
# What is no secret under any name: nothing, a number, a switch, a reference, a path.
_PLAIN = re.compile(r"\s*|[\d.]+|true|false|yes|no|on|off|none|\$\{.*\}|(?:/[\w.-]+){2,}/?", re.I)
# Values that are one by themselves: a password in an address or a DSN, a private key, tokens as their
# issuers mark them, and what is long and as mixed as only a machine writes.
_VALUE = re.compile(
    r"://[^/\s:@]*:[^/\s@]+@"
    r"|://\w{16,}@"
    r"|\b(?:password|passwd|pwd)=[^\s;&]"
    r"|-----BEGIN [A-Z ]{0,20}PRIVATE KEY"
    r"|\b(?:Bearer|Basic)\s[\w.+/=-]{8}"
    r"|\b(?:gh[pousr]_|github_pat_|glpat-|xox[abeprs]-|[sr]k_live_|sk-|npm_|pypi-|hf_|SG\.|dop_v1_)\w{12}"
    r"|\b(?:AKIA|ASIA|AIza)\w{12}"
    r"|\beyJ[\w-]{8,512}\.eyJ"
    r"|hooks\.slack\.com/services/\w|discord(?:app)?\.com/api/webhooks/\w"
    r"|\A(?=.*[a-z])(?=.*[A-Z])(?=.*\d)[A-Za-z0-9+_=]{32,}\Z"
)


def looks_secret(name: str, value: str) -> bool:
    """Whether a variable looks like one that nobody but the service is to know."""
    return bool(SECRET.search(name) or _VALUE.search(value))


def secrets_written(services: Raw, report: ProblemReport) -> None:
    """Warn of variables of images that look like a secret."""
    for service, entry in services.items():
        at: KeyPath = ("services", service)
        places = {(*at, "env"): entry.get("env", {})} | {
            (*at, "variants", name, "env"): variant.get("env", {})
            for name, variant in entry.get("variants", {}).items()
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
