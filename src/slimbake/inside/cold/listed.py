"""Finds the modules that some code takes from the disk: by listing a folder, or by a file's name.

No trace sees all of it: Django lists its commands when somebody types one. So the sources are read:
what a listing call gets is followed back to `__file__`, `__path__` or a package's name, through
assignments, path functions and parameters. What cannot be followed counts as anything below the
place that is known.
"""

from __future__ import annotations

import ast
import posixpath
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace

_WORTH_READING = (
    *(b"__file__", b"__path__", b"listdir(", b"scandir(", b"iterdir(", b"glob(", b".walk("),
    *(b" walk(", b"fwalk(", b"copytree(", b"make_archive(", b".contents("),
)
_NAMED = re.compile(rb"\.py[\"']")
_NAME = re.compile(rb"[\w-]+$")
_TEST = re.compile(r"(.*/)?(tests?/.*|test_[^/]*|[^/]*_test\.py|conftest\.py)")
_FINDS = re.compile(rb"def find_(?:spec|module)\b")
_LOADS_FILES = re.compile(rb"spec_from_file_location|SourceFileLoader|FileFinder")
_FLAT = {"listdir", "scandir", "iterdir", "contents", "resource_listdir"}
_DEEP = {"walk", "fwalk", "copytree", "make_archive"}
_GLOBS = {"glob", "iglob", "rglob"}
_NOT_OS = {"ast", "pkgutil", "tree", "nx"}  # whose `walk` walks no folder
_SAME = {
    *("abspath", "realpath", "normpath", "normcase", "expanduser", "fspath", "str", "resolve"),
    *("absolute", "as_posix", "list", "sorted", "set", "tuple", "next", "iter", "reversed"),
    *("Path", "PurePath", "PosixPath", "getfile", "getsourcefile", "relpath", "cast"),
}
_ROUNDS = 4  # of functions that hand a parameter on


@dataclass(frozen=True)
class Place:
    """A path below site-packages, with `*` for what is unknown, in any number of folders.

    `of`: the function whose parameter it begins with; `given`: that parameter's name and number.
    """

    path: str
    of: str = ""
    given: tuple[str, int] = ("", -1)

    def joined(self, part: str) -> Place:
        path = f"{self.path}/{part.strip('/')}" if self.path else part.strip("/")
        return replace(self, path=re.sub(r"(/\*)+(?=/\*)", "", path))

    def settled(self) -> str:
        """The path without `..`."""
        return posixpath.normpath(self.path)


Places = frozenset[Place]
Listing = tuple[str, Place]  # flat, deep or glob; where


@dataclass(frozen=True)
class Handed:
    """A place that a call hands to a function."""

    function: str
    top: str  # of the module that the function was imported from; "" = unknown
    keys: tuple[str | int, ...]  # which argument, by name or number
    place: Place


@dataclass(frozen=True)
class Facts:
    """What one module says about places."""

    listings: tuple[Listing, ...] = ()
    calls: tuple[Handed, ...] = ()


@dataclass
class Scope:
    """A function or module while it is read."""

    above: Scope | None = None
    called: str = ""  # the name by which a call reaches its parameters
    parameters: dict[str, int] = field(default_factory=dict)
    values: dict[str, list[ast.expr]] = field(default_factory=dict)


class Listings:
    """What is taken from the disk."""

    def __init__(
        self,
        listings: Iterable[Listing],
        named: Mapping[str, set[str]],
        whole: set[str],
    ) -> None:
        self._named, self._whole = named, whole
        ways = {way for listing in listings for way in _ways(*listing)}
        self._listed = re.compile("|".join(sorted(ways)) or r"(?!)", re.DOTALL)

    def keeps(self, name: str, owner: str) -> bool:
        """Whether some code finds this module by listing its folder, or opens it by its name."""
        return (
            owner in self._whole
            or posixpath.basename(name) in self._named.get(owner, ())
            or self._listed.fullmatch(name) is not None
        )


def _ways(kind: str, place: Place) -> Iterator[str]:
    """Regular expressions of the modules that a listing gets."""
    path = place.settled().lstrip("./")
    if not path or path == "*":
        return  # who lists site-packages looks for distributions
    way = ".*".join(map(re.escape, re.sub(r"\[.*?\]|[?*]+", "*", path).split("*")))
    if kind == "glob":
        yield way
    elif kind == "deep" or path.endswith("*"):
        yield f"{way}/.*"
    else:
        # Who lists folders goes on to ask which of them are packages.
        yield f"{way}/[^/]*"
        yield f"{way}/[^/]*/__init__[.]py"


def listings(sources: Mapping[str, bytes], owners: Mapping[str, str]) -> Listings:
    """What the code of a layer takes from the disk. `owners`: the distribution of each module."""
    # A package's tests read its sources to check their style.
    code = {name: content for name, content in sources.items() if not _TEST.fullmatch(name)}
    read = [name for name, content in code.items() if worth_reading(content)]
    with ProcessPoolExecutor() as pool:
        found = pool.map(facts, read, [sources[name] for name in read], chunksize=32)
        facts_of = dict(zip(read, found, strict=True))
    named: dict[str, set[str]] = {}
    whole = set()
    for name, content in code.items():
        named.setdefault(owners[name], set()).update(_named(content))
        if _LOADS_FILES.search(content) and _FINDS.search(content) and finds_files(content):
            whole.add(owners[name])
    return Listings(_followed(facts_of, owners), named, whole)


def worth_reading(content: bytes) -> bool:
    """Whether a module may list folders, or hand places on."""
    return any(word in content for word in _WORTH_READING)


def _named(content: bytes) -> Iterator[str]:
    """The names of `.py` files that a module names. Many do for `__init__.py`, and open none."""
    for end in _NAMED.finditer(content):
        found = _NAME.search(content[max(0, end.start() - 80) : end.start()])
        if found and found[0] != b"__init__":
            yield f"{found[0].decode('ascii', 'replace')}.py"


def finds_files(content: bytes) -> bool:
    """Whether a module has a finder of its own that looks for files itself."""
    return any(
        isinstance(node, ast.ClassDef)
        and {"find_spec", "find_module"} & {getattr(each, "name", "") for each in node.body}
        and _LOADS_FILES.search(ast.unparse(node).encode())
        for node in ast.walk(_parsed(content))
    )


def _followed(facts_of: Mapping[str, Facts], owners: Mapping[str, str]) -> set[Listing]:
    """All listings of known places, through the functions that list what they are given."""
    tops: dict[str, set[str]] = {}
    for name in owners:
        tops.setdefault(name.partition("/")[0].removesuffix(".py"), set()).add(owners[name])
    known: set[Listing] = set()
    listers: dict[tuple[str, str], set[Listing]] = {}
    for name, each in facts_of.items():
        for kind, place in each.listings:
            if place.of:
                listers.setdefault((owners[name], place.of), set()).add((kind, place))
            else:
                known.add((kind, place))
    handed = [(owners[name], call) for name, each in facts_of.items() for call in each.calls]
    for _ in range(_ROUNDS):
        for owner, call in handed:
            for whose in tops.get(call.top, {owner}):
                for kind, listed in list(listers.get((whose, call.function), ())):
                    if not set(listed.given).isdisjoint(call.keys):
                        at = call.place.joined(listed.path) if listed.path else call.place
                        if at.of:
                            vague = "*" in at.path or at.path.count("/") > 3
                            at = replace(at, path="*") if vague else at
                            listers.setdefault((owner, at.of), set()).add((kind, at))
                        else:
                            known.add((kind, at))
    return known


def facts(name: str, content: bytes) -> Facts:
    """What a module says about places; nothing if this Python cannot parse it."""
    try:
        reader = _Reader(name)
        reader.visit(_parsed(content))
        return reader.facts()
    except RecursionError:
        return Facts()


def _parsed(content: bytes) -> ast.Module:
    """A module's tree; an empty one if this Python cannot parse it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(content)
    except (SyntaxError, ValueError, RecursionError):
        return ast.Module([], [])


class _Reader(ast.NodeVisitor):
    """Collects the calls and assignments of a module, then follows them."""

    def __init__(self, name: str) -> None:
        self._own = name
        self._scope = Scope()
        self._class = ""
        self._calls: list[tuple[ast.Call, Scope]] = []
        self._attributes: dict[str, list[tuple[ast.expr, Scope]]] = {}
        self._modules: dict[str, str] = {}  # name -> dotted module
        self._known: dict[int, Places] = {}

    def facts(self) -> Facts:
        """What was found."""
        listed: set[Listing] = set()
        calls: set[Handed] = set()
        for call, scope in self._calls:
            function = _last(call.func)
            listed.update(self._listing(call, function, scope))
            top = self._modules.get(function, "").partition(".")[0]
            for keys, value in _arguments(call) if function not in _SAME else ():
                places = self._places(value, scope)
                calls.update(Handed(function, top, keys, place) for place in places)
        return Facts(tuple(sorted(listed, key=repr)), tuple(sorted(calls, key=repr)))

    # --- collecting

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        called = self._class if node.name == "__init__" and self._class else node.name
        every = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
        arguments = [each.arg for each in every if each.arg not in ("self", "cls")]
        names = {argument: number for number, argument in enumerate(arguments)}
        self._within(Scope(self._scope, called, names), node.body)

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        before, self._class = self._class, node.name
        self.generic_visit(node)
        self._class = before

    def _within(self, scope: Scope, body: Iterable[ast.stmt]) -> None:
        before, self._scope = self._scope, scope
        for each in body:
            self.visit(each)
        self._scope = before

    def visit_Import(self, node: ast.Import) -> None:
        for each in node.names:
            self._modules[each.asname or each.name.partition(".")[0]] = (
                each.name if each.asname else each.name.partition(".")[0]
            )

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        folders = posixpath.dirname(self._own).split("/")
        above = folders[: len(folders) - node.level + 1] if node.level else []
        for each in node.names:
            dotted = ".".join(filter(None, (*above, node.module, each.name)))
            self._modules[each.asname or each.name] = dotted

    def visit_Call(self, node: ast.Call) -> None:
        self._calls.append((node, self._scope))
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        for target in node.targets:
            self._assign(target, node.value)
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign | ast.AugAssign | ast.NamedExpr) -> None:
        if node.value is not None:
            self._assign(node.target, node.value)
        self.generic_visit(node)

    visit_AugAssign = visit_NamedExpr = visit_AnnAssign  # noqa: N815

    def visit_For(self, node: ast.For | ast.AsyncFor | ast.comprehension) -> None:
        self._assign(node.target, node.iter)
        self.generic_visit(node)

    visit_AsyncFor = visit_comprehension = visit_For  # noqa: N815

    def visit_withitem(self, node: ast.withitem) -> None:
        if node.optional_vars is not None:
            self._assign(node.optional_vars, node.context_expr)
        self.generic_visit(node)

    def _assign(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Tuple | ast.List):
            for each in target.elts:
                self._assign(each, value)
        elif isinstance(target, ast.Name):
            self._scope.values.setdefault(target.id, []).append(value)
        elif isinstance(target, ast.Attribute):
            self._attributes.setdefault(target.attr, []).append((value, self._scope))

    # --- following

    def _listing(self, call: ast.Call, function: str, scope: Scope) -> Iterator[Listing]:
        if function not in _FLAT | _DEEP | _GLOBS:
            return
        receiver = call.func.value if isinstance(call.func, ast.Attribute) else None
        on_module = isinstance(receiver, ast.Name) and (
            receiver.id in self._modules or receiver.id in ("os", "glob", "shutil")
        )
        if on_module and isinstance(receiver, ast.Name) and receiver.id in _NOT_OS:
            return
        method = receiver is not None and not on_module
        folders: Iterable[Place] = self._places(receiver if method else _argument(call, 0), scope)
        if function in ("contents", "resource_listdir"):
            folders = self._package(_argument(call, 0), scope)
        for place in folders:
            if function in _GLOBS:
                deep = "*/" if function == "rglob" else ""
                pattern = deep + self._pattern(_argument(call, 0), scope) if method else ""
                yield "glob", place.joined(pattern) if pattern else place
            else:
                yield "flat" if function in _FLAT else "deep", place

    def _places(self, node: ast.expr | None, scope: Scope) -> Places:
        """The places that an expression may be."""
        if node is None:
            return frozenset()
        if id(node) not in self._known:
            self._known[id(node)] = frozenset()  # what goes in a circle adds nothing
            self._known[id(node)] = frozenset(self._place(node, scope))
        return self._known[id(node)]

    def _place(self, node: ast.expr, scope: Scope) -> Iterable[Place]:
        if isinstance(node, ast.Name):
            return self._of_name(node.id, scope)
        if isinstance(node, ast.Attribute):
            return self._of_attribute(node, scope)
        if isinstance(node, ast.Call):
            return self._of_call(node, scope)
        if isinstance(node, ast.BinOp):
            glue = "/" if isinstance(node.op, ast.Div) else ""
            return self._with(self._places(node.left, scope), [node.right], scope, glue)
        if isinstance(node, ast.JoinedStr):
            return self._of_text(node, scope)
        if isinstance(node, ast.Subscript):
            inner = node.value
            if isinstance(node.slice, ast.Constant) and node.slice.value in (
                "__file__",
                "__path__",
            ):
                return self._of_name(str(node.slice.value), scope)  # of `globals()`
            if isinstance(inner, ast.Attribute) and inner.attr == "parents":
                ups = node.slice.value if isinstance(node.slice, ast.Constant) else None
                places = self._places(inner.value, scope)
                up = "/".join([".."] * (ups + 1)) if isinstance(ups, int) and ups >= 0 else "*"
                return {place.joined(up) for place in places}
            return self._places(inner, scope)
        inner_ones = [each for each in ast.iter_child_nodes(node) if isinstance(each, ast.expr)]
        if isinstance(node, ast.Constant | ast.Lambda | ast.Compare | ast.DictComp | ast.Dict):
            return ()
        return {place for each in inner_ones for place in self._places(each, scope)}

    def _of_name(self, name: str, scope: Scope) -> Iterable[Place]:
        if name == "__file__":
            return {Place(self._own)}
        if name == "__path__":
            return {Place(posixpath.dirname(self._own))}
        here: Scope | None = scope
        while here is not None:
            found = set()
            if name in here.parameters:
                found.add(Place("", here.called, (name, here.parameters[name])))
            for value in here.values.get(name, ()):
                found |= self._places(value, here)
            if found:
                return found
            here = here.above
        return ()

    def _of_attribute(self, node: ast.Attribute, scope: Scope) -> Iterable[Place]:
        if node.attr in ("__file__", "__path__"):
            init = "/__init__.py" if node.attr == "__file__" else ""
            if isinstance(node.value, ast.Name) and node.value.id in self._modules:
                return {Place(self._modules[node.value.id].replace(".", "/") + init)}
            return self._places(node.value, scope)
        if node.attr == "parent":
            return {place.joined("..") for place in self._places(node.value, scope)}
        if node.attr in self._attributes:
            values = self._attributes[node.attr]
            return {place for value, at in values for place in self._places(value, at)}
        return ()

    def _of_call(self, node: ast.Call, scope: Scope) -> Iterable[Place]:
        function = _last(node.func)
        first = self._places(_argument(node, 0), scope)
        receiver = node.func.value if isinstance(node.func, ast.Attribute) else None
        if function == "dirname":
            return {place.joined("..") for place in first}
        if function == "files":
            return self._package(_argument(node, 0), scope)
        if function in ("join", "Path", "PurePath"):
            return self._with(first, node.args[1:], scope)
        if function in ("joinpath", "with_name"):
            up = ".." if function == "with_name" else "."
            beside = {place.joined(up) for place in self._places(receiver, scope)}
            return self._with(beside, node.args, scope)
        if function in ("split", "rsplit", "partition", "rpartition"):
            places = first | self._places(receiver, scope)
            return {*places, *(place.joined("..") for place in places)}
        if function in _SAME:
            return first or self._places(receiver, scope)
        return {place.joined("*") for place in self._places(receiver, scope)}

    def _of_text(self, node: ast.JoinedStr, scope: Scope) -> Iterable[Place]:
        head, *rest = node.values or [ast.Constant("")]
        if isinstance(head, ast.FormattedValue):
            return self._with(self._places(head.value, scope), rest, scope, "")
        return ()

    def _with(
        self, places: Iterable[Place], parts: Iterable[ast.expr], scope: Scope, glue: str = "/"
    ) -> set[Place]:
        tail = glue.join(self._pattern(part, scope) for part in parts)
        return {place.joined(tail) if tail.strip("/") else place for place in places}

    def _pattern(self, node: ast.expr | None, scope: Scope) -> str:
        """The text of an expression, with `*` for what is unknown."""
        if isinstance(node, ast.Constant):
            return str(node.value)
        if isinstance(node, ast.JoinedStr):
            return "".join(self._pattern(each, scope) for each in node.values)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Div):
            glue = "/" if isinstance(node.op, ast.Div) else ""
            return f"{self._pattern(node.left, scope)}{glue}{self._pattern(node.right, scope)}"
        return "*"

    def _package(self, node: ast.expr | None, scope: Scope) -> Iterable[Place]:
        """The folder of a package that is named: by a text, its module, or not at all."""
        if isinstance(node, ast.Constant):
            return {Place(str(node.value).replace(".", "/"))}
        if isinstance(node, ast.Name) and node.id in self._modules:
            return {Place(self._modules[node.id].replace(".", "/"))}
        return self._places(node, scope) or {Place(posixpath.dirname(self._own))}


def _last(node: ast.expr) -> str:
    """The last name of what is called."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _arguments(call: ast.Call) -> Iterator[tuple[tuple[str | int, ...], ast.expr]]:
    """The arguments of a call, each with its name or number; a starred one has many numbers."""
    for number, value in enumerate(call.args):
        starred = isinstance(value, ast.Starred)
        yield tuple(range(number, number + 20)) if starred else (number,), value
    yield from (((each.arg,), each.value) for each in call.keywords if each.arg)


def _argument(call: ast.Call, number: int) -> ast.expr | None:
    if len(call.args) > number:
        return call.args[number]
    return call.keywords[0].value if call.keywords and not call.args else None
