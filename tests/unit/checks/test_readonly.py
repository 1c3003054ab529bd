"""What a program says that could not write, in the words of several languages."""

import pytest

from slimbake.checks.readonly import unwritable


@pytest.mark.parametrize(
    ("line", "path", "folder"),
    [
        (
            "PermissionError: [Errno 13] Permission denied: '/home/nonroot/.cache/hub'",
            "/home/nonroot/.cache/hub",
            "/home/nonroot/.cache/hub",
        ),
        ("OSError: [Errno 30] Read-only file system: '/data/a.db'", "/data/a.db", "/data"),
        ("Error: EROFS: read-only file system, mkdir '/srv/.next'", "/srv/.next", "/srv/.next"),
        ("OSError: [Errno 30] Read-only file system: '/app/logs'", "/app/logs", "/app/logs"),
        ("open /var/log/app.log: read-only file system", "/var/log/app.log", "/var/log"),
        (
            "mkdir: cannot create directory \u2018/run/web\u2019: Read-only file system",
            "/run/web",
            "/run/web",
        ),
    ],
)
def test_the_path_and_its_writable_folder_are_named(line: str, path: str, folder: str) -> None:
    said = unwritable(["Traceback (most recent call last):", f"  {line}"])
    assert said == (
        f"it cannot write to {path}: a container is read-only but for /tmp, `tmpfs` and `volumes`;"
        f" if it may forget what it writes there: `tmpfs: [{folder}]`"
    )


def test_what_cannot_be_a_tmpfs_is_not_named_as_one() -> None:
    said = unwritable(["OSError: [Errno 30] Read-only file system: '/app/static/a.css'"])
    assert said == (
        "it cannot write to /app/static/a.css: a container is read-only but for /tmp, `tmpfs` and"
        " `volumes`; let it write to one of these, such as `tmpfs: [/var/cache/NAME]`"
    )


@pytest.mark.parametrize(
    "line",
    [
        "KeyError: '/etc/app'",
        "PermissionError: [Errno 1] Operation not permitted",
        '  File "/app/a.py", line 3, in load',
    ],
)
def test_other_last_words_have_no_hint(line: str) -> None:
    assert unwritable([line]) == ""


@pytest.mark.parametrize(
    "line",
    [
        "sqlalchemy.exc.OperationalError: (sqlite3.OperationalError) unable to open database file",
        "sqlite3.OperationalError: attempt to write a readonly database",
    ],
)
def test_a_database_of_sqlite_belongs_on_a_volume(line: str) -> None:
    assert "`volumes: {data: /data}`" in unwritable([line])
