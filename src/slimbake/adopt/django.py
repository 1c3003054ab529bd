"""What Django's commands of a Dockerfile make, by the settings that they read, and which modules
serve it. Pure.
"""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Mapping

from slimbake.adopt.code import APP
from slimbake.adopt.model import Repository

_MODULE = re.compile(r"DJANGO_SETTINGS_MODULE[\"']\s*,\s*[\"']([\w.]+)[\"']")
_READS = frozenset({"get", "getenv", "env", "config", "str", "path"})  # of the environment
_SAME = frozenset({"resolve", "absolute", "abspath", "realpath", "normpath", "expanduser"})

_HANDLERS = frozenset({"get_wsgi_application", "get_asgi_application"})
# Their bodies do not run when the module is imported, or not always.
_LATER = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.If, ast.IfExp)


def makes_handler(text: str) -> bool:
    """Whether the import of a module of this text sets Django up and makes its handler."""
    try:
        waiting: list[ast.AST] = [ast.parse(text)]
    except (SyntaxError, ValueError):
        return False
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Call):
            function = node.func
            if getattr(function, "attr", getattr(function, "id", "")) in _HANDLERS:
                return True
        if not isinstance(node, _LATER):
            waiting += ast.iter_child_nodes(node)
    return False


def django_outputs(
    command: str,
    manage: str,
    env: Mapping[str, str],
    context: str,
    repository: Repository,
) -> tuple[str, ...]:
    """The files and folders of the context that a command writes; () where that is not known.

    `manage`: its `manage.py`, relative to the context.
    """
    if command == "compilemessages":
        catalogues = (p.rsplit("/", 3) for p in repository.below(context) if p.endswith(".po"))
        folders = (parts[0] for parts in catalogues if parts[2:3] == ["LC_MESSAGES"])
        return tuple(dict.fromkeys(folders))
    folder = posixpath.dirname(manage)
    for settings in _settings(_path(context, manage), env, repository):
        text = repository.texts[settings]
        where = posixpath.join(APP, posixpath.relpath(settings, context))
        found = _Settings(text, where, env).value("STATIC_ROOT")
        if found:
            inside = posixpath.relpath(posixpath.join(APP, folder, found), APP)
            return () if inside.startswith("..") or inside == "." else (inside,)
    return ()


def _settings(manage: str, env: Mapping[str, str], repository: Repository) -> list[str]:
    """The file of the settings, and those beside it that it may import."""
    said = _MODULE.search(repository.texts.get(manage, ""))
    module = env.get("DJANGO_SETTINGS_MODULE") or (said[1] if said else "")
    path = _path(posixpath.dirname(manage), module.replace(".", "/"))
    first = next((f for f in (f"{path}.py", f"{path}/__init__.py") if f in repository.texts), "")
    if not first:
        return []
    folder = posixpath.dirname(first)
    beside = (each for each in sorted(repository.texts) if posixpath.dirname(each) == folder)
    return [first, *(each for each in beside if each.endswith(".py") and each != first)]


def _path(folder: str, name: str) -> str:
    return posixpath.normpath(posixpath.join(folder, name))


class _Settings:
    """Evaluates what a module assigns to a name, where it is a path."""

    def __init__(self, text: str, path: str, env: Mapping[str, str]) -> None:
        self._path, self._env = path, env
        self._assigned: dict[str, ast.expr] = {}
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError):
            return
        for each in tree.body:
            if isinstance(each, ast.Assign) and isinstance(each.targets[0], ast.Name):
                self._assigned[each.targets[0].id] = each.value

    def value(self, name: str) -> str:
        """The text or path; "" where it is another thing, or none that is known."""
        return self._of(self._assigned.pop(name, None))  # `A = A / "b"` ends, too

    def _of(self, node: ast.expr | None) -> str:
        match node:
            case ast.Constant(value=str(text)):
                return text
            case ast.Name(id="__file__"):
                return self._path
            case ast.Name(id=name):
                known = self._assigned.copy()
                found, self._assigned = self.value(name), known
                return found
            case ast.BinOp(left=left, op=ast.Div(), right=right):
                return self._joined([left, right])
            case ast.Attribute(value=inner, attr="parent"):
                return posixpath.dirname(self._of(inner))
            case ast.Subscript(
                value=ast.Attribute(value=inner, attr="parents"),
                slice=ast.Constant(value=int(count)),
            ):
                found = self._of(inner)
                for _ in range(count + 1):
                    found = posixpath.dirname(found)
                return found
            case ast.Call():
                return self._call(node)
        return ""

    def _call(self, node: ast.Call) -> str:
        name, inner = "", None
        if isinstance(node.func, ast.Attribute):
            name, inner = node.func.attr, node.func.value
        elif isinstance(node.func, ast.Name):
            name = node.func.id
        if name == "join":
            return self._joined(node.args)
        if name == "joinpath" and inner is not None:
            return self._joined([inner, *node.args])
        if name == "dirname" and node.args:
            return posixpath.dirname(self._of(node.args[0]))
        if name in _SAME:
            return self._of(node.args[0] if node.args else inner)
        if name in {"Path", "str"} and len(node.args) == 1 and inner is None:
            return self._of(node.args[0])
        if name in _READS and node.args:
            variable = self._of(node.args[0])
            default = [*node.args[1:], *(k.value for k in node.keywords if k.arg == "default")]
            return self._env.get(variable) or (self._of(default[0]) if default else "")
        return ""

    def _joined(self, parts: list[ast.expr]) -> str:
        found = [self._of(part) for part in parts]
        return posixpath.normpath(posixpath.join(*found)) if all(found) else ""
