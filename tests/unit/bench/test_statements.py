"""What statements are spent on: each module has a feature, and the page names every feature."""

from __future__ import annotations

from bench import statements


def test_each_module_has_a_feature_and_each_feature_is_on_the_page() -> None:
    """A new package needs a line in bench/statements.toml: what would a user lose without it?

    `bench/statements.py --write` writes the page; its figures may be some commits old.
    """
    of = {module: statements.owner(module) for module in statements.modules()}
    assert len(of) == len(statements.modules())
    page = statements.PAGE.read_text("utf-8").partition(statements.BEGIN)[2]
    rows = page.partition(statements.END)[0].splitlines()[2:]
    named = list(filter(None, (row.split("|")[2].strip() for row in rows)))
    assert named == [feature.name for feature in statements.features()]


def test_a_module_belongs_to_what_names_it_or_its_folder_else_to_the_rest_of_its_package() -> None:
    assert statements.owner("lock/wheelhouse/store").name == "wheelhouse"
    assert statements.owner("inside/check/trace").name == "observe an image"
    assert statements.owner("inside/check/smoke").name == "check an image"
    assert statements.owner("lock/locks").name == "locks"
    assert statements.owner("errors").name == "entry"
