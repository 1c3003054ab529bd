"""Makes a failed import of a module that a rule removed name the rule. Lies in the image.

Python loads it at every start (`_slimbake_ledger.pth`) and asks it when nothing else has found a
module. It reads the ledgers at the first such time and keeps them: torch and transformers together
look for 40 modules that are not there. `find_spec` still returns None: code that only asks whether
a module is there goes on without it.
"""

import os
import sys

SOUGHT = ("sitecustomize", "usercustomize")  # by every start, in vain as a rule


class _Removed:
    # The top names in each ledger, and its text. Not parsed: 1 MB for torch and its dependencies.
    ledgers: list[tuple[frozenset[bytes], bytes]] | None = None

    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        """Raise ModuleNotFoundError for what a rule removed; say nothing of other modules."""
        if name in SOUGHT:
            return
        frame, missing = sys._getframe(1), name
        # The names that Python gives these modules until somebody imports them.
        importers = ("importlib", "_frozen_importlib")
        while str(module := frame.f_globals.get("__name__")).startswith(importers) and frame.f_back:
            if module == "importlib.util":
                return
            if frame.f_code.co_name == "_handle_fromlist":
                # An error that names the module itself would not be passed on.
                missing = name.rpartition(".")[0]
            frame = frame.f_back
        try:
            by = _rule(name)
        except Exception:  # an unreadable ledger must not hide that the module is missing
            return
        if by:
            reason = f"{by} removed it; `slimbake why {name}` tells more"
            raise ModuleNotFoundError(f"No module named {name!r}: {reason}", name=missing)


def _rule(name: str) -> str:
    """The rule that removed a module. Searches the text: parsing it takes a tenth of a second."""
    path = name.replace(".", "/").encode()
    for tops, text in _ledgers():
        if path.partition(b"/")[0] in tops:
            import json
            import re

            files = rb'"%s(\.py|/__init__\.py|\.[^"/]*\.so)",\d+,0\]' % re.escape(path)
            if match := re.search(files, text):
                end = text.rindex(b'":{', 0, match.start())
                before = text.rfind(b']},"', 0, end)  # a name may have quotes of its own
                start = 1 if before < 0 else before + 3
                return str(json.loads(text[start : end + 1]))
    return ""


def _ledgers() -> list[tuple[frozenset[bytes], bytes]]:
    if _Removed.ledgers is None:
        import re
        import zlib

        folder = os.path.join(os.path.dirname(__file__), *[os.pardir] * 3, "ledger")  # noqa: PTH118, PTH120
        texts = []
        for file in os.listdir(folder):  # noqa: PTH208
            if file.endswith(".json.gz"):
                with open(f"{folder}/{file}", "rb") as ledger:  # noqa: PTH123
                    texts.append(zlib.decompress(ledger.read(), 31))
        _Removed.ledgers = [(frozenset(re.findall(rb'\["([^"/.]+)', text)), text) for text in texts]
    return _Removed.ledgers


sys.meta_path.append(_Removed)
