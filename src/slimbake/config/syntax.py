"""libyaml's syntax errors in plain words, at the place where a person mends them."""

from __future__ import annotations

import yaml

_WORDS = {
    "mapping values are not allowed in this context": (
        "a ':' where no key can stand",
        "put a text that holds ': ' in quotes, or check the indentation of this line",
    ),
    "did not find expected key": (
        "this does not continue the mapping around it",
        "indent keys like those above them, and check the quotes and brackets here and above",
    ),
    "could not find expected ':'": (
        "a key without its ':'",
        "write it as `key: value`, and close quotes on the line that opens them",
    ),
    "did not find expected '-' indicator": (
        "this does not continue the list above it",
        "begin it with '- '",
    ),
    "block sequence entries are not allowed in this context": (
        "a list item where no list can begin",
        "begin the list on a line of its own, below its key",
    ),
    "did not find expected node content": (
        "a value is missing here",
        "brackets must be opened before they close",
    ),
    "found unknown escape character": (
        "an unknown escape in a double-quoted text",
        "write '\\\\' for a backslash, or use single quotes",
    ),
    "found invalid Unicode character escape code": (
        "an escape that is no character",
        "write '\\\\' for a backslash, or use single quotes",
    ),
    "found a tab character that violates indentation": (
        "a tab in the indentation",
        "indent with spaces",
    ),
    "did not find expected <document start>": (
        "this stands outside the manifest's mapping",
        "every top-level key begins in the first column",
    ),
    "exceeded maximum nesting depth": (
        "nested too deep to be read",
        "a manifest has six levels at most",
    ),
    "found undefined tag handle": (
        "an unknown tag",
        "a manifest is plain data: put a text that begins with '!' in quotes",
    ),
}
_UNCLOSED = {
    "did not find expected ',' or ']'": (
        "a list that is not closed",
        "close it with ']', and put ',' between items",
    ),
    "did not find expected ',' or '}'": (
        "a mapping that is not closed",
        "close it with '}', and put ',' between entries",
    ),
    "found unexpected end of stream": (
        "a quote that is not closed",
        "close it with the same quote",
    ),
}
_CHARACTER = "found character that cannot start any token"


def syntax_fault(error: yaml.MarkedYAMLError, text: str) -> tuple[yaml.Mark | None, str, str]:
    """Mark, message and hint of an error that libyaml raised."""
    problem = str(error.problem or error.context)
    mark = error.problem_mark
    if problem in _UNCLOSED:
        mark = error.context_mark  # where it opens; the problem's mark is where the file ends
        message, hint = _UNCLOSED[problem]
    elif problem == _CHARACTER:
        message, hint = _character(text, mark)
    elif problem in ("did not find expected alphabetic or numeric character",) and error.context:
        message = f"a lonely '{'*' if 'alias' in error.context else '&'}'"
        hint = "put a text that begins with it in quotes"
    else:
        message, hint = _WORDS.get(problem, (problem, ""))
    return mark, f"not YAML: {message}", hint


def _character(text: str, mark: yaml.Mark | None) -> tuple[str, str]:
    found = text.splitlines()[mark.line][mark.column :][:1] if mark else ""
    if found == "\t":
        return "a tab in the indentation", "indent with spaces"
    return f"'{found}' cannot begin a value", "put the value in quotes"
