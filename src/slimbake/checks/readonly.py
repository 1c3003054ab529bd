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
    named = ""
    database = False
    for line in lines:
        database = database or bool(_DATABASE.search(line))
        if _REFUSED.search(line):
            for quoted, bare in _PATH.findall(line):
                named = quoted or bare
    if not named:
        return _NO_DATABASE if database else ""
    path = folder = posixpath.normpath(named)
    if posixpath.splitext(path)[1]:  # a file: its folder is what can be mounted
        folder = posixpath.dirname(path)
    # Without an ending it is a folder that could not be made, so no code is in it.
    made_in_code = folder == path and folder.startswith("/app/")
    writes = (
        f"it cannot write to {path}: a container is read-only but for /tmp, `tmpfs` and `volumes`"
    )
    if mountable(folder) or made_in_code:
        return f"{writes}; if it may forget what it writes there: `tmpfs: [{folder}]`"
    return f"{writes}; let it write to one of these, such as `tmpfs: [/var/cache/NAME]`"
