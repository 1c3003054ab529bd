"""The generated workflow in every form that it takes."""

from __future__ import annotations

import functools
from pathlib import Path

from slimbake.catalogue.model import Applied
from slimbake.data import template_root
from slimbake.manifest.model import Base, Manifest, Requirements, Secret, Service
from slimbake.plan import plan
from slimbake.plan.model import Plan
from slimbake.render import render
from slimbake.render.workflow import PATH


def fleet(
    registry: str | None = "registry.example.com/toy",
    platforms: tuple[str, ...] = (),
    file: str = "services.yaml",
    services: tuple[Service, ...] | None = None,
    proven: bool = False,
) -> Plan:
    """The plan of a small fleet: one base, a service on it with a smoke and a secret, a service on the runtime.

    `proven`: its base carries a pass.
    """
    if services is None:
        secret = Secret("index-token", "env", "INDEX_TOKEN")
        services = (
            Service(name="api", context="api", base="web", smoke="smoke.py", secrets=(secret,)),
            Service(name="jobs", context="jobs"),
        )
    return plan(
        Manifest(
            file=Path("/fleet", file),
            project="toy",
            python="3.11",
            registry=registry,
            platforms=platforms,
            bases=(Base(name="web", requirements=Requirements(specs=("fastapi",))),),
            services=services,
        ),
        passes={"base-web": (Applied(name="files.tests", packages=("fastapi",), remove=("**/tests/**",)),)}
        if proven
        else {},
    )


@functools.cache
def _templates() -> dict[str, str]:
    root = template_root()
    shipped = {path.name: path.read_text("utf-8") for path in root.glob("*.j2")}
    return {**shipped, "docker-bake.hcl.j2": ""}


def workflow(of: Plan, tool: str = "slimbake==1.2.3") -> str:
    """The text of the workflow that a plan gives."""
    return next(file.text for file in render(of, _templates(), {}, tool) if file.path == PATH)


FORMS = {
    "registry": fleet(),
    "registry-of-github": fleet("ghcr.io/someone/toy"),
    "docker-hub": fleet("someone"),
    "registry-on-a-port": fleet("localhost:5000/toy"),
    "no-registry": fleet(None),
    "proven": fleet(proven=True),
    "two-platforms": fleet(platforms=("linux/amd64", "linux/arm64")),
    "strange-file": fleet(file='we\n# "x": ${{ secrets.GITHUB_TOKEN }}\'\\.yaml'),
    "no-services": fleet(services=()),
}
