"""The repository and the index of the tests of locks, for commands that resolve."""

from tests.lock.conftest import index, repo

__all__ = ["index", "repo"]
