"""Which variables hold a secret, by their names and values. Pure."""

from __future__ import annotations

import re
from typing import Any

from slimbake.config.document import KeyPath
from slimbake.config.report import ProblemReport

Raw = dict[str, Any]

# What such a variable is called: at the end of a word of its name, as in PGPASSWORD, or as a word. As
# Docker's own check SecretsUsedInArgOrEnv has them, and more.
_ENDS = (
    r"password|passwd|passphrase|passcode|pword|pwd|secret|token|credential|webhook|dsn|bearer"
    r"|(?:api|access|account|auth|client|encryption|master|private|service|signing)[_-]?key"
)
_WORDS = r"pass|auth|keys?|creds?|sas"
SECRET = re.compile(rf"(?:{_ENDS})s?(?:[_-]|$)|(?:^|[_-])(?:{_WORDS})(?:[_-]|$)", re.I)
_COUNT = re.compile(r"[\d.]{1,6}")  # MAX_TOKENS
OF_A_FILE = re.compile(r"_FILE$", re.I)  # such a variable names where a value stands
# What is no secret under any name: nothing, a number, a switch, a reference, a path.
_PLAIN = re.compile(r"\s*|[\d.]+|true|false|yes|no|on|off|none|\$\{.*\}|(?:/[\w.-]+){2,}/?", re.I)
# Values that are one by themselves: a password in an address or a DSN, a private key, tokens as their
# issuers mark them, and what is long and as mixed as only a machine writes.
_VALUE = re.compile(
    r"://[^/\s:@]*:[^/\s@]+@"
    r"|://\w{16,}@"
    r"|\b(?:password|passwd|pwd)=[^\s;&$]"
    r"|-----BEGIN [A-Z ]{0,20}PRIVATE KEY"
    r"|\b(?:Bearer|Basic)\s[\w.+/=-]{8}"
    r"|\b(?:gh[pousr]_|github_pat_|glpat-|xox[abeprs]-|[sr]k_(?:live|test)_|sk-(?:\w{2,8}-)*|npm_|pypi-"
    r"|hf_|SG\.|dop_v1_|hv[sb]\.|whsec_|rk_|gsk_|lin_api_|shp(?:at|ss)_|eyJrIjoi)[\w-]{12}"
    r"|[?&](?:\w*(?:token|key|secret|password|signature)|sig|auth)=[\w%+/.~-]{6}"
    r"|\b(?:AKIA|ASIA|AIza)\w{12}"
    r"|\beyJ[\w-]{8,512}\.eyJ"
    r"|hooks\.slack\.com/services/\w|discord(?:app)?\.com/api/webhooks/\w"
    r"|\A(?=.*[a-z])(?=.*[A-Z])(?=.*\d)[A-Za-z0-9+_=]{32,}\Z"
)


_WHOLE = re.compile(rf"(?:{_VALUE.pattern})[\w%+/.~=-]*")
# In a text such as a command: what names a secret, and the value behind it. No variable is one, no
# number and no path.
_SAID = re.compile(
    rf"(?P<before>(?:^|[\s;&|'\"(])\w*(?:{_ENDS})s?=['\"]?"  # PGPASSWORD=x
    rf"|(?<!\S)['\"]?--?(?:\w+-)*(?:{_ENDS}|\w*pass|auth)s?(?:=|['\"]?\s+)['\"]?"  # --password x
    r"|(?<!\S)['\"]?(?:-u|--user)(?:=|['\"]?\s+)?['\"]?[\w.@-]+:"  # curl -u name:x
    r")(?P<value>(?![$/.{<-])(?!\d+\b)[^\s'\"@]+)",
    re.I,
)


def looks_secret(name: str, value: str) -> bool:
    """Whether a variable looks like one that nobody but the service is to know."""
    if _COUNT.fullmatch(value) and not re.search("pass|pwd|secret", name, re.I):
        return False
    return bool(SECRET.search(name) or _VALUE.search(value))


def hidden(text: str) -> str:
    """A text, such as a command, with `***` in place of what looks like a secret in it."""
    text = _SAID.sub(lambda found: f"{found['before']}***", text)
    return _WHOLE.sub("***", text)


def secrets_written(services: Raw, report: ProblemReport) -> None:
    """Warn of variables of images that look like a secret."""
    for service, entry in services.items():
        at: KeyPath = ("services", service)
        places: dict[KeyPath, Raw] = {(*at, "env"): entry.get("env", {})}
        for name, variant in entry.get("variants", {}).items():
            places[*at, "variants", name, "env"] = variant.get("env", {})
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
