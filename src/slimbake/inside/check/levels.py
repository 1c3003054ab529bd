"""Runs the levels of a check as the judge's child, beside the service's own code.

What answers the judge is bound to local names before any code of the check or the service runs, so
that neither can replace it; `judge` says what it is worth.
"""

from __future__ import annotations

import ast
import contextlib
import faulthandler
import gc
import hashlib
import json
import linecache
import os
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

from .judge import ENDED, FAILED, KEY, SHOW

if TYPE_CHECKING:
    from .verify import Verification

Level = tuple[str, Callable[..., Any], tuple[Any, ...]]


class LevelError(Exception):
    """A level that cannot show anything, though it raises nothing."""


def run_levels(arguments: Sequence[str]) -> NoReturn:
    """The program `levels CHANNEL REPORT`, which only a judge starts: two descriptors.

    Standard input is an object with `kind` (smoke, reference or verify), `source` and `name` of the
    check, and what its kind needs; CHANNEL is where the judge tells the key and the nonces.
    """
    channel, report = map(int, arguments)
    os.set_inheritable(channel, False)
    os.set_inheritable(report, False)
    with open(0, "rb", closefd=False) as file:
        question = json.load(file)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    # Of a smoke the service's code, as `python -m` has it, and as an installed program does not; a
    # verify sees a service from outside.
    here = () if question["kind"] == "verify" else (str(Path.cwd()),)
    sys.path[:] = [*sys.path[1:], *here] if question.get("installed") else [*here, *sys.path[1:]]
    # Garbage collection takes a fifth of the time in which torch and transformers are imported.
    gc.disable()
    faulthandler.register(SHOW)
    if question["kind"] == "verify":
        from .verify import Verification  # a smoke needs no clients of HTTP

        kind: Smoke | Verification = Verification(question, report)
    else:
        kind = (Reference if question["kind"] == "reference" else Smoke)(question, report)
    for name in [name for name in sys.modules if name.partition(".")[0] == "slimbake"]:
        del sys.modules[name]
    _answer(channel, kind, watch(question["name"]))


def watch(name: str) -> dict[int, Callable[[], str]]:
    """What fails in code of a check or its service from now on and no level raises, in words; "" for
    a process that has not failed. Whoever asks for a failure has seen it. `name`: the check's file.
    """
    import asyncio
    import unittest
    from concurrent.futures import Future
    from multiprocessing.process import BaseProcess

    unseen: dict[int, Callable[[], str]] = {}  # by the id of what failed, which it holds
    code = f"{Path.cwd()}/"

    def checked(file: str) -> bool:
        return file == name or (file.startswith(code) and "/site-packages/" not in file)

    def note(where: str, of: Any, error: Any) -> None:
        way = traceback.walk_tb(getattr(error, "__traceback__", None))
        if any(checked(frame.f_code.co_filename) for frame, _ in way):
            fault = f"{type(error).__name__} in {where}, which it does not notice"
            unseen[id(of)] = lambda _=of: fault  # type: ignore[misc]

    def unawaited(coroutine: Any) -> None:
        (maker, *_), *_ = coroutine.cr_origin or [("",)]
        if maker == name:
            unseen[0] = partial(str, f"{coroutine.__qualname__}(), which nobody awaits")

    def started(process: Any) -> None:
        if checked(sys._getframe(2).f_code.co_filename):
            unseen[id(process)] = lambda: (
                f"a process that ended with exit code {process.exitcode}, which it does not notice"
                if process._popen is not None and process._popen.poll()  # by a signal: negative
                else ""
            )

    def loaded(loader: Any, *_: Any, **__: Any) -> None:
        if loader.errors:
            unseen[id(loader)] = lambda _=loader: "tests that cannot be loaded"  # type: ignore[misc]

    hooks: tuple[tuple[Any, str, Any, Any], ...] = (
        # Not threading.excepthook, which a check may replace.
        # By SystemExit a thread ends as it means to.
        (
            threading,
            "ExceptHookArgs",
            lambda args: note("a thread", args[3], args[1] if args[0] is not SystemExit else None),
            _pass,
        ),
        (sys, "unraisablehook", lambda args: note("a destructor", args, args.exc_value), _pass),
        (
            asyncio.BaseEventLoop,
            "call_exception_handler",
            lambda loop, about: note("a task", loop, about.get("exception")),
            _pass,
        ),
        *(
            (
                unittest.TestResult,
                f"add{what}",
                lambda result, *about: note("a test", result, about[-1] and about[-1][1]),
                _pass,
            )
            for what in ("Error", "Failure", "SubTest")
        ),
        *(
            (unittest.TestLoader, f"load{what}", _pass, loaded)
            for what in ("TestsFromName", "TestsFromNames")
        ),
        (unittest.TestLoader, "discover", _pass, loaded),
        (BaseProcess, "start", started, _pass),
        *(
            (BaseProcess, end, lambda process: unseen.pop(id(process), None), _pass)
            for end in ("terminate", "kill")
        ),
        (BaseProcess, "exitcode", _pass, lambda process: unseen.pop(id(process), None)),
        (Future, "set_exception", partial(note, "a future"), _pass),
        *(
            (Future, read, _pass, lambda future, *_: unseen.pop(id(future), None))
            for read in ("result", "exception")
        ),
        (warnings, "_warn_unawaited_coroutine", unawaited, _pass),  # CPython's own (3.8 to 3.15)
    )
    for hook in hooks:
        _around(*hook)
    sys.set_coroutine_origin_tracking_depth(1)  # in this thread, which runs the levels
    return unseen


def _pass(*_: object) -> None: ...


def _around(
    owner: Any, name: str, first: Callable[..., object], last: Callable[..., object]
) -> None:
    """Have a function, or a property, call others before and after it."""
    before = getattr(owner, name, _pass)
    call = getattr(before, "fget", before)

    def around(*given: Any, **named: Any) -> Any:
        first(*given)
        try:
            return call(*given, **named)
        finally:
            last(*given)

    setattr(owner, name, around if call is before else property(around))


def _answer(
    channel: int, kind: Smoke | Verification, unseen: dict[int, Callable[[], str]]
) -> NoReturn:
    """Load the check, run its levels, and answer for each. `unseen`: see `watch`.

    One frame from before the check is loaded to the end: a check can replace the code of any other
    function. A marker is one expression, which a debugger's jump cannot enter in the middle.
    """
    read, write, leave, blake2b, dumps = os.read, os.write, os._exit, hashlib.blake2b, json.dumps
    failed, ended, size, error_of, unrun = FAILED, ENDED, KEY, LevelError, object()
    kind_of, has, shown, result = type, hasattr, ascii, unrun
    watched = (sys.gettrace, sys.getprofile)
    # An object of C, which the garbage collector does not list and which does not tell its key.
    seal = blake2b(digest_size=size, key=read(channel, size))
    try:
        levels = kind.load()
        names = dumps([name for name, _, _ in levels]).encode()
        (mark := seal.copy()).update(names)
        write(channel, mark.digest() + names)
        for name, function, given in levels:
            result = function(*given)
            while has(kind_of(result), "__await__"):
                from asyncio import run

                done: list[Any] = []  # filled by what has really been awaited

                async def awaited(later: Any = result, done: list[Any] = done) -> None:
                    done.append(await later)

                run(awaited())
                (result,) = done
            if result is not None:
                raise error_of(f"{name} returned {shown(result)[:200]}: a level that fails raises")
            if [hook for hook in watched if hook() is not None]:
                raise error_of(f"{name} ran under a trace function, which can skip its lines")
            ran = b"" if result is not unrun else b"not"
            result = unrun  # what it holds and has not run shows now
            if faults := [text for fault in [*unseen.values()] if (text := fault())]:
                raise error_of(f"{name} has {faults[0]}")
            # The judge sends the nonce when the level begins; nobody reads it before it has ended.
            (mark := seal.copy()).update(name.encode() + ran + read(channel, size))
            write(channel, mark.digest())
            ran = b"not"
        kind.end()
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
        write(channel, ended)
        read(channel, size)  # until the judge ends this process: it may want to look at it
    except BaseException as error:  # whatever a check raises, SystemExit too, it has not held
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            kind.fail(error)
            sys.stderr.flush()
        with contextlib.suppress(OSError):
            write(channel, failed)
        leave(1)
    leave(0)


class Smoke:
    """`imports()`, `load()` and `parity(reference)`, the cheapest first, of those that there are."""

    FUNCTIONS = (("import", "imports"), ("load", "load"), ("parity", "parity"))

    def __init__(self, question: Mapping[str, Any], report: int) -> None:
        self._question, self._report = question, report

    def load(self) -> list[Level]:
        module = load_check(self._question, "smoke")
        functions = {level: getattr(module, name, None) for level, name in self.FUNCTIONS}
        given = {}
        if functions["parity"] is not None:
            if self._question["reference"] is None:
                stores = "`slimbake check --reference SERVICE` stores it"
                raise LevelError(f"parity has no {self._question['stored']}: {stores}")
            given["parity"] = (json.loads(self._question["reference"]),)
        levels = [
            (level, f, given.get(level, ())) for level, f in functions.items() if f is not None
        ]
        if not levels:
            defined = "none of imports(), load(), parity(reference)"
            raise LevelError(f"{self._question['name']} defines {defined}")
        return levels

    def end(self) -> None:
        files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
        self._tell(sorted(file for file in files if isinstance(file, str)))

    def fail(self, error: BaseException) -> None:
        expected = isinstance(error, LevelError)
        told = f"Traceback (most recent call last):\n{described(error, self._question['name'])}"
        sys.stderr.write(f"smoke: {error}\n" if expected else told)

    def _tell(self, report: Any) -> None:
        with os.fdopen(self._report, "w", encoding="utf-8") as out:
            json.dump(report, out)


class Reference(Smoke):
    """`reference()`, whose result the judge is told."""

    def load(self) -> list[Level]:
        module = load_check(self._question, "smoke")

        def reference() -> None:
            self._computed = module.reference()

        return [("reference", reference, ())]

    def end(self) -> None:
        self._tell(self._computed)


def load_check(question: Mapping[str, Any], module_name: str) -> ModuleType:
    """Run the service's own check as a module of this name, asserts and all, and for tracebacks."""
    source, name = question["source"].encode("latin-1"), question["name"]
    module = ModuleType(module_name)
    module.__file__ = name
    sys.modules[module_name] = module
    lines = source.decode("utf-8", "replace").splitlines(keepends=True)
    linecache.cache[name] = (len(source), None, lines, name)
    with warnings.catch_warnings():  # `assert (what, "why")` never fails
        warnings.filterwarnings("error", "assertion is always true", SyntaxWarning)
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
    told = traceback.TracebackException.from_exception(error)
    names = [frame.filename for frame in told.stack]
    frames = told.stack[names.index(name) if name in names else 0 :]
    return "".join([*traceback.format_list(frames), *told.format_exception_only()])
