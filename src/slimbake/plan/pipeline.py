"""What the generated pipeline builds where: one lane for each kind of runner. Pure."""

from __future__ import annotations

from slimbake.config.model import Ci
from slimbake.fleet.model import Fleet
from slimbake.plan.model import Lane, Pipeline

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
        cache=cache,
        upgrade=ci.upgrade if provider == "github" else "",
        scanner=fleet.manifest.scan.scanner if fleet.manifest.scan else "",
        sign=ci.sign,
        lanes=lanes,
    )


def scope(project: str, target: str, lane: str) -> str:
    """The scope of the cache of a target in a lane: no other target, lane or project has it.

    The names of projects and targets hold no dot, so that the first two dots part the three.
    """
    return f"{project}.{target}.{lane}"
