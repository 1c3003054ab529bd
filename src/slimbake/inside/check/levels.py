"""Runs the levels of a check as the judge's child, beside the service's own code."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import faulthandler
import gc
import inspect
import json
import linecache
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

from .judge import SHOW
from .unnoticed import Unnoticed

if TYPE_CHECKING:
    from .verify import Verification

Level = tuple[str, Callable[[], Any]]


class LevelError(Exception):
    """A level that cannot show anything, though it raises nothing."""


def run_levels(arguments: Sequence[str]) -> NoReturn:
    """The program `levels NOTES`, which only a judge starts: NOTES is a descriptor.

    Standard input is an object with `kind` (smoke, reference or verify), `source` and `name` of the
    check, and what its kind needs. NOTES gets an object for the judge: `level`, which runs or ran
    last; `ended`, whether all levels passed; `explained`, whether the child has printed why one
    failed; `report`, of the kind.
    """
    notes = int(arguments[0])
    os.set_inheritable(notes, False)
    with open(0, "rb", closefd=False) as file:
        question = json.load(file)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    del sys.path[0]  # this archive
    if question["kind"] != "verify":  # which sees a service from outside
        # An installed program finds its package first, and `python -m` the service's code.
        place = len(sys.path) if question["installed"] else 0
        sys.path.insert(place, str(Path.cwd()))
    # Garbage collection takes a fifth of the time in which torch and transformers are imported.
    gc.disable()
    faulthandler.register(SHOW)
    kind: Smoke | Verification
    if question["kind"] == "verify":
        from .verify import Verification  # a smoke needs no clients of HTTP

        kind = Verification(question)
    elif question["kind"] == "reference":
        kind = Reference(question)
    else:
        kind = Smoke(question)
    os._exit(_run(kind, Unnoticed(question["name"]), notes))


def _run(kind: Smoke | Verification, unnoticed: Unnoticed, notes: int) -> int:
    """Load the check, run its levels, and note for the judge what came of each: an exit code."""
    level = "run"
    try:
        for level, function in kind.load():
            _note(notes, level=level)
            began = time.perf_counter()
            _run_level(level, function)
            fault = unnoticed.fault()
            if fault:
                raise LevelError(f"{level} has {fault}")
            sys.stdout.flush()
            kind.passed(level, time.perf_counter() - began)
        _note(notes, level=level, ended=True, report=kind.end())
        return 0
    except BaseException as error:  # a level that raises SystemExit has failed, too
        with contextlib.suppress(Exception):
            sys.stdout.flush()
        _note(notes, level=level, explained=True, report=kind.fail(error))
        with contextlib.suppress(Exception):
            sys.stderr.flush()
        return 1


def _note(notes: int, **noted: Any) -> None:
    text = json.dumps(noted).encode()
    os.ftruncate(notes, 0)
    os.pwrite(notes, text, 0)


def _run_level(name: str, function: Callable[[], Any]) -> None:
    """Call a level, and await it if it is a coroutine. Raises LevelError for what it returns."""
    result = function()
    if inspect.iscoroutine(result):
        result = asyncio.run(result)
    if result is not None:
        raise LevelError(f"{name} returned {ascii(result)[:200]}: a level that fails raises")


class Smoke:
    """`imports()`, `load()` and `parity(reference)`, the cheapest first, of those that there are."""

    def __init__(self, question: Mapping[str, Any]) -> None:
        self._question = question

    def load(self) -> list[Level]:
        module = load_check(self._question, "smoke")
        levels: list[Level] = []
        for level, name in (("import", "imports"), ("load", "load")):
            function = getattr(module, name, None)
            if function is not None:
                levels.append((level, function))
        if getattr(module, "parity", None) is not None:
            levels.append(("parity", partial(module.parity, self._reference())))
        if not levels:
            defined = "none of imports(), load(), parity(reference)"
            raise LevelError(f"{self._question['name']} defines {defined}")
        return levels

    def _reference(self) -> Any:
        """What parity is compared with. Raises LevelError where it was never stored."""
        text = self._question["reference"]
        if text is None:
            stores = "`slimbake check --reference SERVICE` stores it"
            raise LevelError(f"parity has no {self._question['stored']}: {stores}")
        return json.loads(text)

    def passed(self, level: str, seconds: float) -> None:
        print(f"smoke: {level} passed ({seconds:.2f} s)", file=sys.__stderr__, flush=True)

    def end(self) -> Any:
        """The report: the files of all modules that were imported."""
        files = set()
        for module in list(sys.modules.values()):
            file = getattr(module, "__file__", None)
            if isinstance(file, str):
                files.add(file)
        return sorted(files)

    def fail(self, error: BaseException) -> None:
        """Print why a level failed."""
        if isinstance(error, LevelError):
            sys.stderr.write(f"smoke: {error}\n")
        else:
            trace = described(error, self._question["name"])
            sys.stderr.write(f"Traceback (most recent call last):\n{trace}")


class Reference(Smoke):
    """`reference()`, whose result is the report."""

    def load(self) -> list[Level]:
        module = load_check(self._question, "smoke")

        def reference() -> None:
            self._computed = module.reference()

        return [("reference", reference)]

    def passed(self, level: str, seconds: float) -> None:
        """Standard error shows nothing but what the check prints."""

    def end(self) -> Any:
        return self._computed


def load_check(question: Mapping[str, Any], module_name: str) -> ModuleType:
    """Run the service's own check as a module of this name, asserts and all, and for tracebacks."""
    source, name = question["source"].encode("latin-1"), question["name"]
    module = ModuleType(module_name)
    module.__file__ = name
    sys.modules[module_name] = module
    lines = source.decode("utf-8", "replace").splitlines(keepends=True)
    linecache.cache[name] = (len(source), None, lines, name)
    tree = _comparing(ast.parse(source, name))
    code = compile(tree, name, "exec", dont_inherit=True, optimize=0)
    exec(code, module.__dict__)  # noqa: S102 - the service's own check
    return module


def _comparing(tree: ast.Module) -> ast.Module:
    """Have asserts that compare two values, and say nothing, show both."""
    for node in ast.walk(tree):
        match node:
            case ast.Assert(test=ast.Compare(left, [_], [right]) as test, msg=None):
                test.left = ast.NamedExpr(ast.Name("_left", ast.Store()), left)
                test.comparators = [ast.NamedExpr(ast.Name("_right", ast.Store()), right)]
                shown = "f'{_left!r:.200} on the left, {_right!r:.200} on the right'"
                node.msg = ast.parse(shown, mode="eval").body
    return ast.fix_missing_locations(tree)


def described(error: BaseException, name: str) -> str:
    """A traceback from the check's first line on; all of it if no line of the check is in it."""
    whole = traceback.TracebackException.from_exception(error)
    frames = list(whole.stack)
    names = [frame.filename for frame in frames]
    if name in names:
        del frames[: names.index(name)]
    return "".join([*traceback.format_list(frames), *whole.format_exception_only()])
