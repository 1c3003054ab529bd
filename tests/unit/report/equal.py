"""Whether a page says what `slimbake sizes --json` says."""

from typing import Any

from tests.unit.report.baked import Page

from slimbake.console.tables import readable


def assert_equal(page: Page, sizes: dict[str, Any]) -> None:
    """Each size of the page, row by row."""
    images, layers, packages = sizes["images"], sizes["layers"], sizes["packages"]
    assert page.figures == [
        sizes["unique_on_host"],
        sum(image["uncompressed"] for image in images.values()),
        *measured(sizes["unique_on_registry"]),
    ]
    services = {row.service: row.figures for row in page.rows["services"] if row.figures}
    assert services == {
        name: measured(
            image["uncompressed"],
            image["compressed"],
            image["shared_uncompressed"],
            image["uncompressed"] - image["shared_uncompressed"],
            image["own_on_registry"],
        )
        for name, image in images.items()
    }
    assert {row.id: row.figures for row in page.rows["layers"] if row.id} == {
        row["name"]: measured(row["uncompressed"], row["on_registry"], row["on_host"])
        for row in layers
    }
    assert [(row.cells[0], row.cells[1], row.figures) for row in page.rows["packages"][1:]] == [
        (row["name"], row["what"], [row["uncompressed"], row["on_host"]]) for row in packages
    ]
    assert page.shown == {size: readable(size) for size in page.shown}


def measured(*figures: int | None) -> list[int]:
    """Those that are known: the page writes a word for others."""
    return [figure for figure in figures if figure is not None]
