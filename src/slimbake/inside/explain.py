"""Lets a failed import of a module that a pass removed say so. Standard library only; it lies in the image.

Python loads it at every start (`_slimbake_ledger.pth`), and asks it when nobody else has found a module. Ledgers
are read at the first such time, not before, and kept: torch and transformers together look for 40 modules that are
not there. Whoever only looks whether a module is there, with `find_spec`, is told that it is not.
"""

import sys


class _Removed:
    # The top names in each ledger, and its text, which is not parsed: 1 MB for torch and all that stands on it.
    ledgers: list[tuple[frozenset[bytes], bytes]] | None = None

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
    """The pass that removed a module; found in the text, since to parse it takes a tenth of a second."""
    path = name.replace(".", "/").encode()
    for tops, text in _ledgers():
        if path.partition(b"/")[0] in tops:
            import re

            files = rb'"%s(\.py|/__init__\.py|\.[^"/]*\.so)",\d+,0\]' % re.escape(path)
            if found := re.search(files, text):
                end = text.rindex(b'":{', 0, found.start())
                return text[text.rindex(b'"', 0, end) + 1 : end].decode()
    return ""


def _ledgers() -> list[tuple[frozenset[bytes], bytes]]:
    if _Removed.ledgers is None:
        import re
        import zlib
        from pathlib import Path

        folder = Path(__file__).parents[3] / "ledger"
        texts = [zlib.decompress(file.read_bytes(), 31) for file in folder.glob("*.json.gz")]
        _Removed.ledgers = [(frozenset(re.findall(rb'\["([^"/.]+)', text)), text) for text in texts]
    return _Removed.ledgers


sys.meta_path.append(_Removed)
