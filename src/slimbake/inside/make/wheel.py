"""The files of one installed wheel, and what its own code says of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from ..names import file_name, is_test

WORD = re.compile(rb"[\w.+-]+")  # in a text: what may name a file
# A program or a library that compiles C, C++ or GPU code.
_COMPILER = re.compile(
    r"(.*/)?(bin/([^/]*-)?(gcc|g\+\+|cc|c\+\+|clang(\+\+)?|tcc|nvcc|hipcc|icpx?)(-[\d.]+)?|zig"
    r"|(?=[\w.-]*\.so[\d.]*\Z)[\w.-]*?(nvrtc|clang|cling|opencl|libtcc)[\w.-]*)",
    re.IGNORECASE,
)


class InstalledWheel:
    """A wheel's files below a prefix."""

    def __init__(
        self, package: str, version: str, prefix: Path, site: Path, paths: Iterable[Path]
    ) -> None:
        """`package`: as indexes compare names; `site`: site-packages below the prefix; `paths`: what
        the wheel has installed.
        """
        self.package, self.version = package, version
        self.prefix, self.site = prefix, site
        self.files: dict[str, Path] = {}
        for path in sorted(paths):
            if path.is_file() or path.is_symlink():
                self.files[file_name(path, site)] = path

    @property
    def sources(self) -> dict[str, Path]:
        """Its Python modules, by their names below site-packages."""
        sources = {}
        for name, path in self.files.items():
            if name.endswith(".py") and not name.startswith("/") and path.is_file():
                sources[name] = path
        return sources

    @cached_property
    def code(self) -> dict[str, bytes]:
        """The text of its Python modules, its tests among them."""
        return {name: path.read_bytes() for name, path in self.sources.items()}

    @cached_property
    def words(self) -> frozenset[bytes]:
        """Every word in its code: what names a file. Tests stay, and read files."""
        words: set[bytes] = set()
        for text in self.code.values():
            words.update(WORD.findall(text))
        return frozenset(words)

    @cached_property
    def compilers(self) -> tuple[str, ...]:
        """Those of its files that compile C, C++ or GPU code."""
        return tuple(sorted(filter(_COMPILER.fullmatch, self.files)))

    def makes_names(self, suffix: str) -> bool:
        """Whether its code but for tests makes names of files with a suffix: it has that as a text
        of its own, or after a value.
        """
        text = re.compile(rb"""["'}]%b["']""" % re.escape(suffix.encode()))
        for name, code in self.code.items():
            # A text is found far sooner than a pattern.
            if suffix.encode() in code and text.search(code) and not is_test(name):
                return True
        return False

    def module_beside(self, name: str) -> str:
        """The module that a file with the same stem is about: `a/b.py` of `a/b.pyi`; of a module
        inside an extension module, that one. "" where there is none.
        """
        stem = name.rpartition(".")[0]
        if f"{stem}.py" in self.files:
            return f"{stem}.py"
        parts = stem.removesuffix("/__init__").split("/")
        while parts:
            extension = self._extensions.get("/".join(parts))
            if extension:
                return extension
            parts.pop()
        return ""

    @cached_property
    def _extensions(self) -> dict[str, str]:
        """Its extension modules by their paths without a suffix."""
        extensions = {}
        for name in self.files:
            folder, slash, file = name.rpartition("/")
            if file.endswith(".so") and not name.startswith("/"):
                extensions[f"{folder}{slash}{file.partition('.')[0]}"] = name
        return extensions
