"""Makes a failed import of a module that `remove:` took name the line of the manifest. Lies in layers
where it took something.

Python loads it at every start (`_slimbake_ledger.pth`) and asks it when nothing else has found a
module. It reads the ledgers at the first such time and keeps them: torch and transformers together
look for 40 modules that are not there. `find_spec` still returns None: code that only asks whether
a module is there goes on without it.
"""

import os
import sys

SOUGHT = ("sitecustomize", "usercustomize")  # by every start, in vain as a rule


class _Removed:
    ledgers: list[str] | None = None

    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        """Raise ModuleNotFoundError for what `remove:` took; say nothing of other modules."""
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
    """The line that removed a module; "" where none did."""
    path = name.replace(".", "/")
    places = (f"{path}.", f"{path}/__init__.")
    for text in _ledgers():
        # Parsed only then: that of torch has 2 MB.
        if any(f'["{place}' in text for place in places):
            import json

            for rule, files in json.loads(text)["rules"].items():
                for file, _, after, *_ in files:
                    if not after and file.startswith(places) and file.endswith((".py", ".so")):
                        return str(rule)
    return ""


def _ledgers() -> list[str]:
    """The ledgers that tell of `remove:`, as text."""
    if _Removed.ledgers is None:
        import zlib

        _Removed.ledgers = []
        folder = os.path.join(os.path.dirname(__file__), *[os.pardir] * 3, "ledger")  # noqa: PTH118, PTH120
        for file in sorted(os.listdir(folder)):  # noqa: PTH208
            if file.endswith(".json.gz"):
                with open(f"{folder}/{file}", "rb") as ledger:  # noqa: PTH123
                    text = zlib.decompress(ledger.read(), 31).decode()
                if ".remove: " in text:
                    _Removed.ledgers.append(text)
    return _Removed.ledgers


sys.meta_path.append(_Removed)
