"""The audit hook of a trace: what this process, those that it forks and those that they start use.

A trace writes this file as `sitecustomize.py` into a folder of PYTHONPATH, so that every Python
that is started there reports too; not one with -I, -E or -S. So it imports only the interpreter's
own modules. Python's audit events (PEP 578) say what Python opens, lists, imports and runs.
"""

from __future__ import annotations

import importlib
import os
import sys

LOG = "used"  # the file, beside `sitecustomize.py`, that all processes append to
PATHS = {
    "open": 0,
    "os.listdir": 0,
    "os.scandir": 0,
    "import": 1,
    "exec": 0,
}
"""Events, and which of their arguments names a file; of `exec` it is the code."""
IMPORTS = "import"
RUNS = "exec"  # also of modules that no file was opened for
READS = ("open", "os.listdir", "os.scandir")
"""Logged for a path even if another event was logged for it before; of what imports and lists modules
an "open" is logged as IMPORTS, and nothing else: a cold store serves that."""
_IMPORTERS = ("importlib._bootstrap_external", "_frozen_importlib_external", "zipimport", "pkgutil")


class AuditHook:
    """Appends each path to the log, once a process: HOW, a tab, the path, NUL."""

    def __init__(self, folder: str) -> None:
        self._log = os.open(f"{folder}/{LOG}", os.O_WRONLY | os.O_APPEND)
        self._seen: set[tuple[str, str]] = set()

    def install(self) -> None:
        """Begin. There is no end: Python cannot remove an audit hook."""
        for module in list(sys.modules.values()):  # such as those that a .pth has imported
            spec = getattr(module, "__spec__", None)
            for key in ("cached", "origin"):
                path = getattr(spec, key, None)
                if isinstance(path, str) and path.startswith("/"):
                    self.add(path, "import")
        sys.addaudithook(self._hook)

    def add(self, path: str, how: str) -> None:
        """Append a path, once for all that tells the same of it."""
        kind = how if how in READS else ""
        if path and (path, kind) not in self._seen:
            self._seen.add((path, kind))
            try:
                if not path.startswith("/"):
                    path = f"{os.getcwd()}/{path}"  # noqa: PTH109 - pathlib imports much
                os.write(self._log, os.fsencode(f"{how}\t{os.path.normpath(path)}\0"))
            except OSError:  # the folder has gone, or a daemon has closed all files
                pass

    def _hook(self, event: str, arguments: tuple[object, ...]) -> None:
        which = PATHS.get(event)
        if which is None:
            return
        path = arguments[which]
        if event == RUNS:
            path = str(getattr(path, "co_filename", ""))
            if not path.startswith("/"):  # code that has no file
                return
        frame = sys._getframe().f_back
        if event in READS and frame and frame.f_globals.get("__name__") in _IMPORTERS:
            if event != "open":
                return
            event = IMPORTS
        if isinstance(path, (bytes, str, os.PathLike)):
            self.add(os.fsdecode(path), event)


def _sitecustomize() -> None:
    folder = __file__.rpartition("/")[0]
    sys.path[:] = [path for path in sys.path if path != folder]
    AuditHook(folder).install()
    ours = sys.modules.pop("sitecustomize")
    try:
        importlib.import_module("sitecustomize")  # the image's own
    except ImportError:
        sys.modules["sitecustomize"] = ours


if __name__ == "sitecustomize":
    _sitecustomize()
