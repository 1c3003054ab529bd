"""Names that differ in case alone, on a disk that has one file for both, as those of Macs mostly do."""

import subprocess
from pathlib import Path

import pytest

from slimbake.errors import UsageError
from slimbake.host import kernel
from slimbake.project import load

MANIFEST = 'project: x\npython: "3.11"\nservices: {api: {context: CONTEXT, command: [a]}}\n'


def repository(root: Path, context: str, *files: str) -> Path:
    """Git has these files, and the disk has none of them."""
    (root / "services").mkdir()
    (root / "services.yaml").write_text(MANIFEST.replace("CONTEXT", context))
    (root / "content").write_text("text")
    git = ("git", "-C", str(root))
    subprocess.run([*git, "init", "--quiet"], check=True)
    words = [*git, "hash-object", "-w", "content"]
    blob = subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
    for name in files:
        entry = ("--cacheinfo", f"100644,{blob},{name}")
        subprocess.run([*git, "update-index", "--add", *entry], check=True)
    return root / "services.yaml"


@pytest.mark.parametrize(
    ("context", "files", "pair"),
    [
        ("services", ("services/a.py", "services/A.py"), ("services/A.py", "services/a.py")),
        (".", ("Notes.md", "notes.md"), ("Notes.md", "notes.md")),
        ("services", ("services/x/a", "services/X/a"), ("services/X/a", "services/x/a")),
        ("services", ("Notes.md", "notes.md", "services/a.py"), ()),  # no build copies them
        ("services", ("services/a.py", "services/b.py"), ()),
    ],
)
def test_two_files_of_a_build_are_an_error_with_both_names(
    context: str,
    files: tuple[str, ...],
    pair: tuple[str, str] | tuple[()],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    project = load(repository(tmp_path, context, *files))
    project.expect_distinct_files()  # this disk tells them apart
    monkeypatch.setattr("slimbake.project.folds_case", lambda _: True)
    if not pair:
        project.expect_distinct_files()
        return
    with pytest.raises(UsageError) as refused:
        project.expect_distinct_files()
    assert refused.value.message.startswith(f"{pair[0]} and {pair[1]} differ in case alone")


def test_without_git_nothing_is_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "services").mkdir()
    (tmp_path / "services.yaml").write_text(MANIFEST.replace("CONTEXT", "services"))
    monkeypatch.setattr("slimbake.project.folds_case", lambda _: True)
    load(tmp_path / "services.yaml").expect_distinct_files()


@pytest.mark.parametrize(("other", "folds"), [("link", True), ("file", False), ("", False)])
def test_a_disk_that_folds_case_has_one_file_for_both_names(
    other: str, folds: bool, tmp_path: Path
) -> None:
    file = tmp_path / "services.yaml"
    file.touch()
    if other == "link":
        (tmp_path / "SERVICES.YAML").hardlink_to(file)
    if other == "file":
        (tmp_path / "SERVICES.YAML").touch()
    assert kernel.folds_case(file) is folds
