"""What the generated pipeline builds where: one lane for each kind of runner. Pure."""

from __future__ import annotations

import re

from slimbake.config.model import Ci
from slimbake.fleet.model import Fleet
from slimbake.plan.model import Lane, Pipeline, Plan

HOST = "linux/amd64"  # what a provider's runners are, where nothing is said of them
ANY = {"github": "ubuntu-latest", "gitlab": "", "none": ""}


def pipeline(fleet: Fleet) -> Pipeline:
    """Decide the pipeline: a platform with runners of its own has a lane; the first lane emulates
    all others. A manifest without `ci` has none, and `slimbake ci plan` gives the jobs all the same.
    """
    ci = fleet.manifest.ci or Ci()
    provider = ci.provider or "github"
    platforms = tuple(dict.fromkeys((*fleet.platforms, *fleet.every_platform)))
    labels = {HOST: ANY[provider], **dict(ci.runners)}
    native = tuple(platform for platform in platforms if platform in labels)
    rest = tuple(platform for platform in platforms if platform not in labels)
    if native:
        first, *others = native
        lanes = (
            Lane(platforms=(first, *rest), runner=labels[first], emulates=bool(rest)),
            *(
                Lane(platforms=(platform,), runner=labels[platform], emulates=False)
                for platform in others
            ),
        )
    else:
        lanes = (Lane(platforms=rest, runner=labels[HOST], emulates=True),)
    cache = ci.cache or ("registry" if fleet.manifest.registry else "none")
    return Pipeline(
        provider=provider if fleet.manifest.ci else "none",
        branch=ci.branch,
        cache=cache,
        upgrade=ci.upgrade if provider == "github" else "",
        scanner=fleet.manifest.scan.scanner if fleet.manifest.scan else "",
        sign=ci.sign,
        lanes=lanes,
    )


def caches(plan: Plan, lane: str, push: bool) -> dict[str, str]:
    """Where a job reads the caches of targets and where it writes them, as the bake file has it: in
    the registry, one for each target and lane.
    """
    if plan.pipeline.cache == "none":
        return {}
    place = f"type=registry,ref={plan.registry}/{{target}}:buildcache.{lane}"
    more = f"compression={plan.compression.type},ignore-error=true"
    to = f"{place},mode=max,image-manifest=true,oci-mediatypes=true,{more}"
    return {"CACHE_FROM": place, "CACHE_TO": to if push else ""}


def image_tag(name: str) -> str:
    """A tag of images, of one that Git has: `-` replaces what a registry does not allow. A lane and
    a variant may follow, and a registry takes 128 characters.
    """
    return re.sub(r"[^A-Za-z0-9_.-]", "-", name).lstrip(".-")[:100]
