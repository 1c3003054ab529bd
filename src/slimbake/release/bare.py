"""Images without optimisation: what parity compares with."""

from __future__ import annotations

from slimbake.checks.mounts import mounted
from slimbake.host.workspace import FOLDER
from slimbake.plan.model import Plan
from slimbake.release.bake import bake
from slimbake.release.command import BakeOptions, staged
from slimbake.release.place import BuiltImage, built_in_engine
from slimbake.release.site import Site
from slimbake.render import bare_files

BARE = "bare"  # in the workspace: what steps that make layers are to do


def bare_images(site: Site, services: tuple[str, ...]) -> tuple[BuiltImage, ...]:
    """Build these services without optimisation and checks. They are never pushed.

    Raises as `bake` does.
    """
    names = {name: staged(site.plan, name, site.around.checkout, BARE) for name in services}
    texts = bare_files(site.plan)
    for name, text in texts.items():
        site.workspace.write_text(f"{BARE}/{name}", text)
    # none where no service has packages
    sets = (f"inside.contexts.layers={FOLDER}/{BARE}",) if texts else ()
    options = BakeOptions(names=names, sets=sets, compression="uncompressed")
    result = bake(site, services, options, checks=False)
    return built_in_engine(result.left, result)


def weights_mounted(site: Site, services: tuple[str, ...]) -> Plan:
    """The plan with the volumes that these services mount, for which their images are built."""
    names = site.plan.with_weights(services)[len(services) :]
    if not names:
        return site.plan
    result = bake(site, names, BakeOptions(), checks=False)
    images = {image.name: image.image for image in built_in_engine(result.left, result)}
    return mounted(site.plan, images, services)
