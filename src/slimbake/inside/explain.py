"""Lets a failed import of a module that a pass removed say so. Standard library only; it lies in the image.

Python loads it at every start (`_slimbake_ledger.pth`), and asks it when nobody else has found a module. Ledgers
are read then, not before. Whoever only looks whether a module is there, with `find_spec`, is told that it is not.
"""

import sys


class _Removed:
    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        """Say nothing of what was never there; raise ModuleNotFoundError for what a pass removed."""
        frame, told = sys._getframe(1), name
        own = ("importlib", "_frozen_importlib")  # what Python calls these modules until somebody imports them
        while str(module := frame.f_globals.get("__name__")).startswith(own) and frame.f_back:
            if module == "importlib.util":
                return
            if frame.f_code.co_name == "_handle_fromlist":
                told = name.rpartition(".")[0]  # an error of the module's own name would not be passed on
            frame = frame.f_back
        try:
            by = _pass(name)
        except Exception:  # a ledger that cannot be read must not hide that the module is missing
            return
        if by:
            words = f"No module named {name!r}: the pass {by} removed it; `slimbake why {name}` tells more"
            raise ModuleNotFoundError(words, name=told)


def _pass(name: str) -> str:
    import gzip
    import json
    from pathlib import Path

    path = name.replace(".", "/")
    for file in Path(__file__).parents[3].glob("ledger/*.json.gz"):
        for by, packages in json.loads(gzip.decompress(file.read_bytes())).items():
            for files in packages.values():
                for removed, _, after in files:
                    if not after and removed.startswith(path) and _is_module(removed[len(path) :]):
                        return str(by)
    return ""


def _is_module(rest: str) -> bool:
    return rest in {".py", "/__init__.py"} or (rest.startswith(".") and rest.endswith(".so"))


sys.meta_path.append(_Removed)
