"""Where the files that slimbake ships lie: the repository's own in a checkout, copies in the wheel."""

from __future__ import annotations

from pathlib import Path

MANIFEST = "services.schema.json"
CATALOGUE = "catalogue.schema.json"
_PACKAGE = Path(__file__).parents[1]


def data_root() -> Path:
    """The folder that holds `templates/`, `docker-bake.hcl.j2` and `catalogue.yaml`, in a checkout
    as in a wheel.
    """
    # importlib.resources would cost more time than the rest of this start-up; wheels are always
    # unpacked.
    installed = _PACKAGE / "_data"
    return installed if installed.is_dir() else _PACKAGE.parents[1]


def template_root() -> Path:
    """The folder of the default templates."""
    return data_root() / "templates"


def schema_text(name: str = MANIFEST) -> str:
    """A JSON Schema, as its file says it: the manifest's or the catalogue's."""
    root = data_root()
    return (root / name if root.name == "_data" else root / "schema" / name).read_text("utf-8")


def catalogue_file() -> Path:
    """The catalogue of passes that slimbake ships."""
    return data_root() / "catalogue.yaml"
