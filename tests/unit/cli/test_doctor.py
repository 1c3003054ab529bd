"""What `slimbake doctor` asks for before there is a manifest."""

from pathlib import Path

import pytest

from slimbake.cli.doctor import pythons


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        ([], ["python:3.13-slim-trixie"]),
        (["python:3.12-slim"], ["python:3.12-slim-trixie"]),
        (
            ["python:3.11", "python:3.11-slim", "python:3.14"],
            ["python:3.11-slim-trixie", "python:3.14-slim-trixie"],
        ),
    ],
)
def test_before_init_it_asks_for_the_pythons_that_init_would_write(
    images: list[str], expected: list[str], tmp_path: Path
) -> None:
    for number, image in enumerate(images):
        folder = tmp_path / f"service{number}"
        folder.mkdir()
        (folder / "Dockerfile").write_text(
            f'FROM {image}\nWORKDIR /app\nCOPY . .\nCMD ["python", "-m", "app"]\n'
        )
        (folder / "app.py").touch()
    assert [external.reference for external in pythons(tmp_path)] == expected
