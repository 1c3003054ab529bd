"""Finds the modules that the code of packages reaches by paths: those stay on disk.

A path is built of `__file__` or `__path__`, and then something is called with it. Which file or folder
that is, is followed through the names, attributes and functions of a module, and those that it takes
from others of its layer. What stays open keeps all that may be meant. Code that makes a path of
another, compares or prints one reaches nothing; nor does what a cold store serves, such as `pkgutil`.
"""

from __future__ import annotations

import ast
import itertools
import posixpath
import re
import warnings
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

Values = frozenset[str]
Scope = dict[str, list["ast.AST | Values | None"]]

SITE = "\0"  # what paths begin with: site-packages. A value without it is another text
ANY: Values = frozenset("*")  # any name
NONE: Values = frozenset()
MOST = 50  # values of one expression; more count as any
ROUNDS = 5  # in which functions hand paths to others
_BUILDS = (b"__file__", b"__path__", b"getfile(", b"getsourcefile(")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_BINDS: Mapping[type[ast.AST], tuple[str, str]] = {
    **dict.fromkeys((ast.AnnAssign, ast.AugAssign, ast.NamedExpr), ("target", "value")),
    **dict.fromkeys((ast.For, ast.AsyncFor, ast.comprehension), ("target", "iter")),
    ast.withitem: ("optional_vars", "context_expr"),
}
_LEAVES = (ast.boolop, ast.cmpop, ast.Constant, ast.expr_context, ast.operator, ast.unaryop)
_SAME = _words(
    "abspath absolute as_posix expanduser expandvars filter find_spec format fsdecode fsencode fspath items"
    " iter list map next normcase normpath realpath replace resolve reversed rstrip set sorted str strip"
    " tuple values"
)
"""Calls that give a path for a path."""
_JOINS = _words("join joinpath Path PosixPath PurePath PurePosixPath")
_PARTS = _words("dirname getfile getsourcefile split splitext with_name with_suffix")
_GROWS = _words("add append extend insert update")
_ASKS = _words("exists getmtime getsize is_dir is_file isdir isfile islink lexists samefile stat")
"""Calls that ask whether a file or folder is there. Of an open name they reach nothing: what takes the
answer does.
"""
_FILES = _ASKS | _words(
    "copy copy2 copyfile load open open_code read_bytes read_text spec_from_file_location"
)
"""Calls that take a file; a folder is there, also where its modules are cold."""
_LISTS = _words("chdir FileFinder glob iterdir listdir rglob scandir")
_TREES = _words("copytree fwalk walk")
_KNOWN = _FILES | _LISTS | _TREES
_REACHES_NOTHING = (
    _SAME
    | _JOINS
    | _PARTS
    | _GROWS
    | _words(
        "addsitedir any CDLL basename bool commonpath commonprefix count critical debug endswith error exception"
        " extend_path fnmatch get_logger getattr getLogger hasattr hash index info is_relative_to isabs"
        " isinstance iter_modules len log match print relative_to relpath search startswith type"
        " walk_packages warn warning"
    )
)


def reached(sources: Mapping[str, bytes], counts: Collection[str]) -> set[str]:
    """The modules that must stay on disk, by their paths below site-packages.

    `counts`: the modules whose code counts.
    """
    folders: dict[str, list[str]] = defaultdict(list)
    for name in sources:
        folders[posixpath.dirname(name)].append(name)
    taken = Layer({name: sources[name] for name in counts}).taken()
    return {name for path, kind in taken for name in _meant(path, kind, folders)}


def _meant(path: str, kind: str, folders: Mapping[str, list[str]]) -> Iterator[str]:
    """The modules that a path means: a file, those in a folder, or those below it."""
    text = path.removeprefix(SITE).strip("/")
    if not text.strip("*/"):
        return  # all of site-packages
    parts = re.split(r"(\*\*/|\*)", text)
    wild = {"**/": "(?:.*/)?", "*": "[^/]*"}
    means = re.compile("".join(wild.get(part) or re.escape(part) for part in parts)).fullmatch
    for folder, names in folders.items():
        ways = itertools.accumulate(folder.split("/"), "{}/{}".format) if kind == "tree" else ()
        if any(map(means, ways)) or (kind == "folder" and means(folder)):
            yield from names
        elif "**" in text or folder.count("/") == text.count("/") - 1:
            yield from filter(means, names)


class Layer:
    """The modules of a layer whose code counts: those that build paths, and those that take one."""

    def __init__(self, sources: Mapping[str, bytes]) -> None:
        self._sources = sources
        self._builds = {n for n, text in sources.items() if any(word in text for word in _BUILDS)}
        self._modules: dict[str, Module] = {}

    def taken(self) -> set[tuple[str, str]]:
        """Each path, and how it is taken."""
        for name in sorted(self._builds):
            self.module(name)
        taken: set[tuple[str, str]] = set()
        for _ in range(ROUNDS):
            for module in [*self._modules.values()]:
                taken |= module.taken()  # the same again where it has no news
        return taken

    def file(self, dotted: str) -> str:
        """The file of a module by its dotted name; "" where the layer has none."""
        path = dotted.replace(".", "/")
        return next((p for p in (f"{path}/__init__.py", f"{path}.py") if p in self._sources), "")

    def module(self, name: str) -> Module:
        """A module by its file."""
        if name not in self._modules:
            self._modules[name] = Module(self, name, parsed(self._sources[name]))
        return self._modules[name]

    def exported(self, dotted: str) -> Values:
        """What a name of a module means that builds paths."""
        module, _, name = dotted.rpartition(".")
        file = self.file(module)
        return self.module(file).named(name) if file in self._builds else NONE


class Module:
    """What the names of a module mean, and which paths it calls something with."""

    def __init__(self, layer: Layer, name: str, tree: ast.Module) -> None:
        self._layer, self._name = layer, name
        self._names: Scope = defaultdict(list)
        self._attributes: Scope = defaultdict(list)  # of all classes and objects
        self._imported: dict[str, str] = {}  # name -> dotted name
        self._functions: dict[str, list[tuple[Scope, list[str]]]] = defaultdict(list)
        self._calls: list[ast.Call] = []
        self._scopes: dict[ast.AST, tuple[Scope, ...]] = {}  # of names
        self._known: dict[ast.AST, Values] = {}
        self._news = True
        self._collect(tree, (self._names,))

    def named(self, name: str) -> Values:
        """What a name of the module means."""
        return self._meaning(self._names.get(name, ()))

    def taken(self) -> set[tuple[str, str]]:
        """Each path, and how it is taken. It hands paths to functions."""
        if not self._news:
            return set()
        self._news = False
        self._known.clear()
        return {path for node in self._calls for path in self._taken(node)}

    def given(self, name: str, values: Sequence[Values], named: Mapping[str, Values]) -> bool:
        """Call the functions of a name with these values; whether there is any."""
        for scope, parameters in self._functions.get(name, ()):
            for word, value in (*zip(parameters, values, strict=False), *named.items()):
                if value and value not in scope[word]:
                    scope[word].append(value)
                    self._news = True
        return name in self._functions

    def _collect(self, node: ast.AST, scopes: tuple[Scope, ...]) -> None:
        match node:
            case ast.Name():
                self._scopes[node] = scopes
            case ast.Call():
                self._calls.append(node)
                for argument in node.args if _called(node) in _GROWS else ():
                    self._bind(getattr(node.func, "value", node.func), argument, scopes)
            case ast.Import() | ast.ImportFrom():
                self._import(node)
            case ast.Assign():
                self._bind(
                    ast.List(node.targets), ast.List([node.value] * len(node.targets)), scopes
                )
            case _ if type(node) in _BINDS:
                target, value = _BINDS[type(node)]
                self._bind(getattr(node, target), getattr(node, value), scopes)
            case ast.Return() | ast.Yield():
                scopes[-1]["return"].append(node.value)
            case ast.ClassDef():
                scopes = (*scopes, self._attributes)
                self._functions[node.name] = self._functions["__init__"]
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                scopes = (*scopes, self._function(node, scopes[-1]))
        for child in ast.iter_child_nodes(node):
            if not isinstance(child, _LEAVES):
                self._collect(child, scopes)

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        of = ""
        if isinstance(node, ast.ImportFrom):
            package = self._name.split("/")[: -node.level] if node.level else []
            of = "".join(f"{part}." for part in (*package, node.module) if part)
        for alias in node.names:
            top = alias.name.partition(".")[0]  # `import a.b` binds `a`
            self._imported[alias.asname or top] = of + (alias.name if alias.asname else top)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef, around: Scope) -> Scope:
        """The scope of a function, in which its parameters are bound."""
        scope: Scope = defaultdict(list)
        parameters = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
        defaults = (*[None] * (len(parameters) - len(node.args.defaults)), *node.args.defaults)
        keywords = zip(
            (argument.arg for argument in node.args.kwonlyargs),
            node.args.kw_defaults,
            strict=True,
        )
        for word, default in (*zip(parameters, defaults, strict=True), *keywords):
            scope[word].append(default or ANY)
        self._functions[node.name].append(
            (scope, parameters[parameters[:1] in (["self"], ["cls"]) :])
        )
        around[node.name] = scope["return"]
        return scope

    def _bind(
        self, target: ast.AST | None, value: ast.AST | None, scopes: tuple[Scope, ...]
    ) -> None:
        match target:
            case ast.Tuple(elts=targets) | ast.List(elts=targets):
                values = getattr(value, "elts", ())
                alike = len(values) == len(targets)
                for number, element in enumerate(targets):
                    self._bind(element, values[number] if alike else value, scopes)
            case ast.Name(id=name):
                scopes[-1][name].append(value)
            case ast.Attribute(attr=name):
                self._attributes[name].append(value)
            case ast.Subscript(value=inner) | ast.Starred(value=inner):
                self._bind(inner, value, scopes)

    def _taken(self, node: ast.Call) -> Iterator[tuple[str, str]]:
        call, owner = _called(node), getattr(node.func, "value", None)
        if call in _REACHES_NOTHING:
            return
        given = [self._value(arg) for arg in node.args]
        named = {keyword.arg or "": self._value(keyword.value) for keyword in node.keywords}
        on = _paths(self._value(owner)) if call in _KNOWN else NONE
        values = on.union(*given, *named.values())
        if not _paths(values):
            return
        if call in _KNOWN or not (
            self._passed(node, given, named) or call.endswith(("Error", "Warning"))
        ):
            if on and call in ("glob", "rglob"):
                values = _joined(on, frozenset(("**" if call == "rglob" else ".",)), *given)
            kind = "file" if call in _FILES else "tree" if call in _TREES else "folder"
            for path in _paths(values):
                if not (call in _ASKS and path.endswith("*")):
                    yield path, kind

    def _passed(self, node: ast.Call, given: Sequence[Values], named: Mapping[str, Values]) -> bool:
        """Hand a function of the layer what it is called with; False where it is none."""
        dotted = self._dotted(node.func)
        module, _, name = dotted.rpartition(".")
        file = self._layer.file(module) if dotted else self._name
        keywords = {word: value or ANY for word, value in named.items()}
        return bool(file) and self._layer.module(file).given(
            name or _called(node), [value or ANY for value in given], keywords
        )

    def _dotted(self, node: ast.AST) -> str:
        """The dotted name that an expression of imported names stands for."""
        if isinstance(node, ast.Attribute):
            base = self._dotted(node.value)
            return f"{base}.{node.attr}" if base else ""
        return self._imported.get(node.id, "") if isinstance(node, ast.Name) else ""

    def _meaning(self, bound: Iterable[ast.AST | Values | None]) -> Values:
        """What a name means that is bound to all of these."""
        every = (
            value if isinstance(value, frozenset) else self._value(value) or ANY for value in bound
        )
        return _few(NONE.union(*every))

    def _value(self, node: ast.AST | None) -> Values:
        """What an expression may mean; NONE where that is not known."""
        if node is None:
            return NONE
        if node not in self._known:
            self._known[node] = NONE  # it may name itself
            self._known[node] = _few(frozenset(self._values(node)))
        return self._known[node]

    def _values(self, node: ast.AST) -> Iterable[str]:
        match node:
            case ast.Constant(value=str(text)):
                return (text,) if len(text) < 100 and SITE not in text else ()
            case ast.Name(id=name):
                return self._of_name(node, name)
            case ast.Attribute(attr=name, value=inner):
                return self._of_attribute(node, name, inner)
            case ast.Subscript(value=ast.Attribute(attr="parents", value=inner)):
                up = getattr(node.slice, "value", 0)
                return ("/".join(path.split("/")[: -1 - up]) for path in self._value(inner))
            case ast.BinOp(op=ast.Div()):
                return _joined(_paths(self._value(node.left)), self._value(node.right))
            case ast.BinOp(op=ast.Add()):
                return _added([self._value(node.left), self._value(node.right)])
            case ast.JoinedStr():
                return _added([self._value(value) for value in node.values])
            case ast.Call():
                return self._of_call(node)
        return itertools.chain.from_iterable(map(self._value, ast.iter_child_nodes(node)))

    def _of_name(self, node: ast.Name, name: str) -> Iterable[str]:
        if name == "__file__":
            return (f"{SITE}/{self._name}",)
        if name == "__path__":
            return (f"{SITE}/{posixpath.dirname(self._name)}",)
        bound = (scope[name] for scope in reversed(self._scopes[node]) if name in scope)
        return self._meaning(next(bound, ())) or self._layer.exported(self._dotted(node))

    def _of_attribute(self, node: ast.AST, name: str, inner: ast.AST) -> Iterable[str]:
        match name:
            case "__file__" | "__path__":
                file = self._layer.file(self._dotted(inner))
                where = file if name == "__file__" else posixpath.dirname(file)
                return (f"{SITE}/{where}",) if file else ()
            case "parent":
                return map(posixpath.dirname, self._value(inner))
            case "module_finder" | "origin" | "path" | "submodule_search_locations":
                return self._value(inner)
        return self._meaning(self._attributes.get(name, ())) | self._layer.exported(
            self._dotted(node)
        )

    def _of_call(self, node: ast.Call) -> Iterable[str]:
        given = [self._value(arg) for arg in node.args]
        on = self._value(getattr(node.func, "value", None))
        first, *rest = (on, *given) if _paths(on) else (given or [NONE])
        match _called(node):
            case call if call in _JOINS:
                return _joined(_paths(first), *rest)
            case "dirname" | "split":
                return map(posixpath.dirname, first)
            case "splitext" | "with_suffix":
                return _joined(frozenset(map(posixpath.dirname, _paths(first))), ANY)
            case "with_name":
                return _joined(frozenset(map(posixpath.dirname, _paths(first))), *rest)
            case "glob" | "iter_modules" | "iterdir" | "rglob" | "scandir" | "walk_packages":
                return _joined(_paths(first), ANY)
            case "getfile" | "getsourcefile":
                of = node.args[0] if node.args else node
                this_file = self._name if isinstance(of, ast.Call) else ""  # of the current frame
                return (
                    (f"{SITE}/{file}",)
                    if (file := self._layer.file(self._dotted(of)) or this_file)
                    else ()
                )
            case call if call in _SAME:
                return on.union(*given)
        return self._value(node.func)


def _called(node: ast.Call) -> str:
    func = node.func
    return func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")


def _paths(values: Values) -> Values:
    return frozenset(value for value in values if value.startswith(SITE))


def _joined(paths: Values, *names: Values) -> Values:
    """Paths with names behind each."""
    for name in names:
        every = name if name and len(paths) * len(name) <= MOST else ANY
        absolute, bare = _paths(every), every - _paths(every)
        paths = absolute.union(_wide(posixpath.join(a, b)) for a in paths for b in bare)
    return paths


def _wide(path: str) -> str:
    """A path with at most one part of any name: two mean all that lies below."""
    parts = posixpath.normpath(path).split("/")
    wild = [number for number, part in enumerate(parts) if "*" in part]
    if len(wild) > 1 or "**" in parts:
        parts[wild[0] :] = ["**", "*" if parts[-1] == "**" else parts[-1]]
    return "/".join(parts)


def _added(parts: list[Values]) -> Values:
    """Texts one behind the other."""
    texts = frozenset(("",))
    for part in parts:
        every = part if part and len(texts) * len(part) <= MOST else ANY
        texts = frozenset(text + more for text in texts for more in every)
    return texts if any(parts) else NONE


def _few(values: Values) -> Values:
    """The same, or what means more than each of too many."""
    if len(values) <= MOST:
        return values
    return frozenset(f"{posixpath.dirname(path)}/*" for path in _paths(values))


def parsed(content: bytes) -> ast.Module:
    """A module's code; nothing where it is not of this Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(content)
    except (SyntaxError, ValueError, RecursionError):
        return ast.Module([], [])
