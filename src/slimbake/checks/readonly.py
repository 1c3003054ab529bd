"""What a program says that wanted to write where a container cannot, and what lets it."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable

from slimbake.config.containers import mountable

# As Python (errno 13 and 30), Node, Go and coreutils write it.
_REFUSED = re.compile(
    r"read-only file ?system|permission ?denied|permissionerror|erofs|eacces", re.I
)
# SQLite tells no path, and programs such as mlflow put a database where they were started.
_DATABASE = re.compile(r"unable to open database file|attempt to write a readonly database", re.I)
_NO_DATABASE = (
    "it cannot write its SQLite database: a container is read-only but for /tmp, `tmpfs` and"
    " `volumes`; tell the program to keep it on a volume: `volumes: {data: /data}`"
)
_PATH = re.compile(r"['\"\u2018](/[^'\"\u2019]+)['\"\u2019]|(?<![\w/.])(/[^\s'\":,;()]+)")


def unwritable(lines: Iterable[str]) -> str:
    """How to let a program write where its last words say that it could not; "" where they do not.

    Of several paths the last: a program goes on until one is too many.
    """
    lines = [*lines]
    paths = [
        named[-1]
        for line in lines
        if _REFUSED.search(line) and (named := [one or other for one, other in _PATH.findall(line)])
    ]
    if not paths:
        return _NO_DATABASE if any(map(_DATABASE.search, lines)) else ""
    path = posixpath.normpath(paths[-1])
    # A file: its folder is what can be mounted.
    folder = posixpath.dirname(path) if posixpath.splitext(path)[1] else path
    writes = (
        f"it cannot write to {path}: a container is read-only but for /tmp, `tmpfs` and `volumes`"
    )
    if mountable(folder):
        return f"{writes}; if it may forget what it writes there: `tmpfs: [{folder}]`"
    return f"{writes}; let it write to one of these, such as `tmpfs: [/var/cache/NAME]`"
