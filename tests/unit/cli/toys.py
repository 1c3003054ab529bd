"""A fleet of one service, for commands that need no more."""

from pathlib import Path

SERVICE = "context: api, command: [a]"


def toy(root: Path, service: str = SERVICE) -> Path:
    """The manifest of a service `api` in a folder."""
    (root / "api").mkdir(exist_ok=True)
    file = root / "services.yaml"
    file.write_text(f'project: toy\npython: "3.11"\nservices: {{api: {{{service}}}}}\n')
    return file
