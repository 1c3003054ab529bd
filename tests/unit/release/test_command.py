"""What a build knows of the images from outside that it uses."""

from tests.unit.fleets import fleet, plan_of, service

from slimbake.plan.origin import BASE_DIGEST, BASE_NAME
from slimbake.release.command import BakeOptions, Surroundings, arguments


def test_an_image_says_which_python_image_it_was_made_of() -> None:
    plan = plan_of(fleet(service("old"), service("new", python="3.13")))
    names = ("python", "python-3.13")
    around = Surroundings(
        externals={name: f"docker-image://here/{name}" for name in names},
        digests={name: f"sha256:{name}" for name in names},
        standins=names,
    )
    words = arguments(plan, ("old", "new"), around, BakeOptions())
    for target, name in (
        ("old", "python"),
        ("new", "python-3.13"),
        ("runtime-3_13", "python-3.13"),
    ):
        assert f"{target}.labels.{BASE_DIGEST}=sha256:{name}" in words
        assert f"{target}.labels.{BASE_NAME}=here/{name}" in words
