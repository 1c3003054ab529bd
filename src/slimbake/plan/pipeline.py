"""What the generated pipeline builds where: one lane for each kind of runner. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from slimbake.config.model import Ci
from slimbake.fleet.model import Fleet
from slimbake.plan.model import Lane, Pipeline, Plan

HOST = "linux/amd64"  # what a provider's runners are, where nothing is said of them
ANY = {"github": "ubuntu-latest", "gitlab": "", "none": ""}


def pipeline(fleet: Fleet) -> Pipeline:
    """Decide the lanes of the generated pipeline, and what its jobs need.

    A manifest without `ci` has no pipeline, but the lanes all the same: `slimbake ci plan` prints
    the jobs of any fleet.
    """
    manifest = fleet.manifest
    ci = manifest.ci or Ci()
    provider = ci.provider or "github"
    scanner = manifest.scan.scanner if manifest.scan else ""
    cache = ci.cache
    if not cache:
        cache = "registry" if manifest.registry else "none"
    return Pipeline(
        provider=provider if manifest.ci else "none",
        branch=ci.branch,
        cache=cache,
        upgrade=ci.upgrade if provider == "github" else "",
        scanner=scanner,
        sign=ci.sign,
        lanes=_lanes(fleet, {HOST: ANY[provider], **dict(ci.runners)}),
    )


def _lanes(fleet: Fleet, runners: Mapping[str, str]) -> tuple[Lane, ...]:
    """One lane for each platform that has a runner; the first one emulates all other platforms.

    `runners`: platform -> the label of its runners.
    """
    platforms = tuple(dict.fromkeys((*fleet.platforms, *fleet.every_platform)))
    native = [platform for platform in platforms if platform in runners]
    emulated = [platform for platform in platforms if platform not in runners]
    if not native:
        return (Lane(platforms=tuple(emulated), runner=runners[HOST], emulates=True),)
    first, *others = native
    lanes = [
        Lane(platforms=(first, *emulated), runner=runners[first], emulates=bool(emulated)),
    ]
    for platform in others:
        lanes.append(Lane(platforms=(platform,), runner=runners[platform], emulates=False))
    return tuple(lanes)


def caches(plan: Plan, lane: str, writes: bool) -> dict[str, str]:
    """Return the bake file's variables that say where a job reads and, if it does, writes caches of builds.

    The registry has one cache for each target and lane. {} where the pipeline has no cache.
    """
    if plan.pipeline.cache == "none":
        return {}
    cache = f"type=registry,ref={plan.registry}/{{target}}:buildcache.{lane}"
    written = (
        f"{cache},mode=max,image-manifest=true,oci-mediatypes=true,"
        f"compression={plan.compression.type},ignore-error=true"
    )
    if not writes:
        written = ""
    return {"CACHE_FROM": cache, "CACHE_TO": written}


def image_tag(name: str) -> str:
    """Return the tag of images for a branch or tag of Git.

    `-` replaces each character that a registry refuses. A registry takes tags of 128 characters; a
    lane and a variant may follow these 100.
    """
    return re.sub(r"[^A-Za-z0-9_.-]", "-", name).lstrip(".-")[:100]
