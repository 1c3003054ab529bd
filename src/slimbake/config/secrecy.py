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
    r"password|passwd|passphrase|passcode|pword|pwd|secret|token|credential|webhook|dsn|bearer|salt"
    r"|conn(?:ection)?[_-]?str(?:ing)?"
    r"|(?<!by)(?<!com)(?<!sur)(?<!tres)pass"  # PGPASS, but no bypass
    r"|(?:api|access|account|auth|client|encryption|master|priv(?:ate)?|secret|service|session|signing)"
    r"[._-]?key"
)
_WORDS = r"pw|auth|keys?|creds?|sas|pat|pem|pin|[ht]?otp"
_LAST = r"jwt|cookie|hmac|fernet|psk|mnemonic"  # JWT, but not JWT_ALGORITHM
SECRET = re.compile(
    rf"(?:{_ENDS})s?(?:[._-]|$)|(?:^|[._-])(?:{_WORDS})(?:[._-]|$)|(?:^|[._-])(?:{_LAST})$", re.I
)
_COUNT = re.compile(r"[\d.]{1,6}")  # MAX_TOKENS
OF_A_FILE = re.compile(r"_FILE$", re.I)  # such a variable names where a value stands
# What is no secret under any name: nothing, a number, a switch, a reference, a path.
_PLAIN = re.compile(r"\s*|[\d.]+|true|false|yes|no|on|off|none|\$\{.*\}|(?:/[\w.-]+){2,}/?", re.I)
# Values that are one by themselves: a password in an address or a DSN, a private key, tokens as their
# issuers mark them, and what is long and as mixed as only a machine writes: letters and digits take
# turns. What is hexadecimal alone is mostly a digest or a commit.
_VALUE = re.compile(
    r":/{1,2}[^/\s:@]*(?::|%3[Aa])(?!\$@)[^/\s@]+@"
    r"|(?<![\w./:@-])(?!mailto:)[\w.-]+:(?!\$)[^\s/:@'\"]{3,}@(?!sha\d)[\w-]+[.:/\w]"
    r"|:/{1,2}\w{16,}@"
    r"|-----BEGIN [A-Z ]{0,20}PRIVATE KEY|\bAGE-SECRET-KEY-|\bPuTTY-User-Key"
    r"|\b(?:Bearer|Basic)\s[\w.+/=-]{8}"
    r"|\b(?:gh[pousr]_|github_pat_|gl\w{1,4}-|xox[abeprs]-|[sr]k_(?:live|test)_|sk-(?:\w{2,8}-)*|npm_|pypi-"
    r"|hf_|SG\.|dop_v1_|hv[sb]\.|whsec_|rk_|gsk_|lin_api_|shp(?:at|ss)_|dckr_pat_|GOCSPX-|eyJrIjoi)"
    r"[\w-]{12}"
    r"|[?&](?:\w*(?:token|key|secret|password|signature)|sig|auth)=[\w%+/.~-]{6}"
    r"|\b(?:AKIA|ASIA|AIza)\w{12}"
    r"|\beyJ[\w-]{8,512}\.eyJ"
    r"|hooks\.slack\.com/services/\w|discord(?:app)?\.com/api/webhooks/\w"
    r"|\A(?=.*[a-z])(?=.*[A-Z])(?=.*\d)[A-Za-z0-9+_=]{32,}\Z"
    r"|(?<![A-Za-z0-9])(?=[A-Za-z0-9]{20})(?![0-9a-f]+(?![A-Za-z0-9]))"
    r"(?:(?:[A-Za-z]+\d+){2}|(?:\d+[A-Za-z]+){2})"
)
_WHOLE = re.compile(rf"(?:{_VALUE.pattern})[\w%+/.~=-]*")
_QUOTE = r"['\"\\]{0,4}"
# An option or a field such as --api.key, but not --sort-key; `key=` alone is an argument of Python's.
_OPTION_KEY = (
    r"(?<=[._-])(?<!sort.)(?<!partition.)(?<!primary.)(?<!foreign.)(?<!group.)(?<!cache.)(?<!public.)"
    r"(?<!recv.)(?<!fetch.)(?<!host.)key"
)
_NAMES = rf"(?:{_ENDS}|(?<![a-z])(?:pw|auth)|{_OPTION_KEY})s?"
_LINE = r"[^\n|;&]{0,200}"
# In a text such as a command: what names a secret, and the value behind it. No variable is one, no
# small number and no path.
_SAID = re.compile(
    rf"(?P<before>{_NAMES}{_QUOTE}(?:\s?(?:=\s?|:\s)|(?<=['\"]):){_QUOTE}"  # PGPASSWORD=x
    rf"|\bauthorization{_QUOTE}[:=]\s?{_QUOTE}\w+\s|\bcookie{_QUOTE}:\s?{_QUOTE}[\w.-]+="
    rf"|(?<!\S){_QUOTE}--?[\w.-]*{_NAMES}{_QUOTE}(?:\s+|:){_QUOTE}(?!-)"  # --password x
    rf"|(?<!\S){_QUOTE}(?:-[a-z]{{0,8}}u|--user){_QUOTE}(?:=|\s+)?{_QUOTE}[\w.@-]+:"  # curl -u name:x
    r"|\blogin\s\S{1,100}\spassword\s"  # of a .netrc
    rf"|\bset\s+[\w./:-]*{_NAMES}{_QUOTE}\s+{_QUOTE}"  # aws configure set aws_secret_access_key x
    # echo x > token
    rf"|\b(?:echo|printf)\s+{_QUOTE}(?=[^\n|;&>]{{0,200}}>+\s?[^\s|;&]{{0,200}}(?:{_ENDS}|netrc)\b)"
    r"|\bmysql\w*\s(?:[^\n]{0,200}\s)?-p(?=\w)|\bredis-cli\s(?:[^\n]{0,200}\s)?-a\s"
    rf"|\b(?:sshpass|mongo\w*|twine|(?:docker|podman|buildah|nerdctl|oras)\s+login)\s(?:{_LINE}\s)?-p\s*"
    rf"|\bhtpasswd\s(?={_LINE}-\w*b){_LINE}\s"
    r")(?P<value>(?![${<]|\.{0,2}/[\w.-]*(?:[/\s'\"]|$)|\.{1,2}/"
    r"|[\w.-]{1,100}\.(?:pem|key|crt)(?:[\s'\"]|$)|\d{1,6}(?:[\s'\",;]|$))[^\s'\"]+)",
    re.I,
)
_REFERENCE = re.compile(r"\$\{(?P<name>\w+)(?::?[-?+](?P<default>[^${}]*))?\}|\$\w+")


def _filled(text: str, named: str, empty: str = "") -> str:
    """A text with the defaults of its references in their place, as `named` has them; `empty` in
    place of others.
    """

    def default(found: re.Match[str]) -> str:
        return found.expand(named) if found["default"] else empty

    return _REFERENCE.sub(default, text)


def looks_secret(name: str, value: str) -> bool:
    """Whether a variable looks like one that nobody but the service is to know. What a reference in
    its value is without a setting counts, too.
    """
    filled = _filled(value, r"\g<default>")
    if not filled and value:
        return False
    if SECRET.search(name):
        return not _COUNT.fullmatch(filled) or re.search("pass|pwd|secret", name, re.I) is not None
    shown = _filled(value, r"\g<name>=\g<default>", "$")
    return hidden(shown) != shown


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
