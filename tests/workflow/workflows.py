"""The generated pipelines in every form that they take."""

from __future__ import annotations

import functools
from pathlib import Path

from slimbake.config.model import BaseEntry, Ci, Manifest, Requirements, Scan, Secret, ServiceEntry
from slimbake.fleet import resolve
from slimbake.plan import plan
from slimbake.plan.model import Plan
from slimbake.render import render
from slimbake.render.generated import SHIPPED
from slimbake.render.workflow import TEMPLATES

GRYPE = Scan("grype", ("--fail-on", "high"))
TRIVY = Scan("trivy", ("--exit-code", "1"))


def fleet(
    registry: str | None = "registry.example.com/toy",
    platforms: tuple[str, ...] = (),
    file: str = "services.yaml",
    services: tuple[ServiceEntry, ...] | None = None,
    ci: Ci | None = Ci(),  # noqa: B008
    scan: Scan | None = None,
) -> Plan:
    """The plan of a small fleet: one base, a service on it with a smoke and a secret, a service on
    the runtime.
    """
    if services is None:
        secret = Secret("index-token", "env", "INDEX_TOKEN")
        services = (
            ServiceEntry(
                name="api", context="api", base="web", smoke="smoke.py", secrets=(secret,)
            ),
            ServiceEntry(name="jobs", context="jobs"),
        )
    written = Manifest(
        file=Path("/fleet", file),
        project="toy",
        python="3.11",
        registry=registry,
        platforms=platforms,
        bases=(BaseEntry(name="web", requirements=Requirements(specs=("fastapi",))),),
        services=services,
        ci=ci,
        scan=scan,
    )
    return plan(resolve(written))


@functools.cache
def _templates() -> dict[str, str]:
    root = SHIPPED / "templates"
    shipped = {path.name: path.read_text("utf-8") for path in root.glob("*.j2")}
    return {**shipped, "docker-bake.hcl.j2": ""}


def workflow(of: Plan, path: str = "") -> str:
    """The text of the pipeline that a plan gives, or of another file of it."""
    path = path or next(iter(TEMPLATES[of.pipeline.provider]))
    return next(file.text for file in render(of, _templates(), {}) if file.path == path)


BOTH = ("linux/amd64", "linux/arm64")
STRANGE = 'we\n# "x": ${{ secrets.GITHUB_TOKEN }}\'\\.yaml'

ARM = (("linux/arm64", "ubuntu-24.04-arm"),)

FORMS = {
    "registry": fleet(),
    "registry-of-github": fleet("ghcr.io/someone/toy"),
    "docker-hub": fleet("someone"),
    "registry-on-a-port": fleet("localhost:5000/toy"),
    "no-registry": fleet(None),
    "two-platforms": fleet(platforms=BOTH),
    "native-runners": fleet(platforms=BOTH, ci=Ci(runners=ARM)),
    "another-branch": fleet(ci=Ci(branch="release/v1")),
    "no-cache": fleet(ci=Ci(cache="none")),
    "strange-file": fleet(file=STRANGE),
    "scanned": fleet(scan=GRYPE),
    "scanned-by-trivy": fleet(scan=TRIVY),
    "no-services": fleet(services=()),
    "signed": fleet("ghcr.io/someone/toy", ci=Ci(sign="cosign")),
    "signed-elsewhere": fleet(platforms=BOTH, ci=Ci(sign="cosign", runners=ARM)),
    "attested": fleet("ghcr.io/someone/toy", ci=Ci(sign="github")),
    "attested-elsewhere": fleet(platforms=BOTH, ci=Ci(sign="github", runners=ARM)),
}

UPGRADES = {
    name: fleet(of, platforms=platforms, ci=Ci(upgrade="17 4 * * 1"))
    for name, of, platforms in (
        ("registry", "registry.example.com/toy", ()),
        ("no-registry", None, BOTH),
    )
}

GITLAB = Ci(provider="gitlab")
GITLAB_FORMS = {
    "registry": fleet(ci=GITLAB),
    "docker-hub": fleet("someone", ci=GITLAB),
    "no-registry": fleet(None, ci=GITLAB),
    "two-platforms": fleet(platforms=BOTH, ci=GITLAB),
    "native-runners": fleet(
        platforms=BOTH, ci=Ci(provider="gitlab", runners=tuple((each, "big") for each in BOTH))
    ),
    "no-cache": fleet(ci=Ci(provider="gitlab", cache="none")),
    "strange-file": fleet(file=STRANGE, ci=GITLAB),
    "no-services": fleet(services=(), ci=GITLAB),
    "scanned": fleet(scan=GRYPE, ci=GITLAB),
    "scanned-by-trivy": fleet(scan=TRIVY, ci=GITLAB),
    "signed": fleet(ci=Ci(provider="gitlab", sign="cosign")),
    "signed-in-lanes": fleet(
        platforms=BOTH,
        ci=Ci(provider="gitlab", sign="cosign", runners=tuple((each, "big") for each in BOTH)),
    ),
}
