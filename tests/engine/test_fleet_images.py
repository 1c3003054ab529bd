"""The eight images as they are: what they weigh, what they share, and what must not be in them."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from tests.engine.conftest import ROOT, call, docker, inspected

from slimbake.console import Console
from slimbake.host.machine import machine
from slimbake.images.measure import measure_images
from slimbake.images.sizes import Measurement
from slimbake.plan.model import Plan
from slimbake.project import load
from slimbake.release.bake import bake
from slimbake.release.command import BakeOptions, Surroundings
from slimbake.release.place import built_in_engine
from slimbake.release.site import hold

SERVICES = ("api", "embedding", "storage", "nlg", "hybrid", "control", "bulk-ingester", "client")
BASES = {
    "base-web": ("api", "storage", "control", "bulk-ingester"),
    "base-ml": ("embedding", "nlg", "hybrid"),
}
MINILM = 80_000_000  # bytes; its weights are a bit more
CUDA_PACKAGE = re.compile(r"(nvidia|cuda|triton|cupy)\b.*")
CUDA_LIBRARY = re.compile(
    r"lib(cuda|cudart|cublas|cudnn|cufft|curand|cusolver|cusparse|nccl|nvrtc|torch_cuda).*\.so.*"
)
SHELLS = {"ash", "bash", "busybox", "dash", "ksh", "sh", "zsh"}
INSTALLERS = {"apt", "apt-get", "dpkg", "pip", "pip3", "su", "uv"}

# As root, so that nothing is hidden; what a file holds matters for the records of packages only.
SCAN = """
import hashlib, importlib.metadata, json, os, re, sys
names, setuid, texts = {}, [], ""
for folder, folders, files in os.walk("/"):
    if folder == "/":
        folders[:] = [name for name in folders if name not in ("proc", "sys", "dev")]
    for name in files:
        path = os.path.join(folder, name)
        names.setdefault(name, path)
        if os.lstat(path).st_mode & 0o6000:
            setuid.append(path)
        if folder.endswith((".dist-info", "/app")):
            texts += open(path, errors="replace").read()
bundle = open("/etc/ssl/certs/ca-certificates.crt", "rb").read()
print(json.dumps({
    "packages": sorted(re.sub("[-_.]+", "-", d.metadata["Name"]).lower() for d in importlib.metadata.distributions()),
    "top": sorted(os.listdir("/")), "files": names, "setuid": setuid,
    "private": [word for word in sys.argv[1:] if word in texts], "ca": hashlib.sha256(bundle).hexdigest(),
}))
"""


@dataclass(frozen=True)
class Fleet:
    plan: Plan
    around: Surroundings
    shared: Measurement
    """The runtime and the bases, which no bake of services leaves behind under a name."""

    def layers(self, name: str) -> list[str]:
        (image,) = (image for image in self.shared.images if image.name == name)
        return [layer.diff for layer in image.layers]


@pytest.fixture(scope="module")
def fleet(baked: dict[str, Any]) -> Fleet:
    project, shared = load(ROOT / "services.yaml"), ("runtime", *BASES)
    with hold(project, Console(print), SERVICES) as site:
        site = site.stocked(SERVICES)
        result = bake(site, shared, BakeOptions(), checks=False)
        built = built_in_engine(result.left, result)
        measured = measure_images({image.name: image.image for image in built}, site.workspace)
    return Fleet(site.plan, site.around, measured)


@pytest.fixture(scope="module")
def private() -> list[str]:
    """Words that this machine's settings hold and that no image may: indexes, folders of wheels,
    proxies.
    """
    here = machine()
    values = (
        here.packages.index_url,
        *here.packages.extra_index_urls,
        *here.packages.find_links,
        *(value for name, value in here.proxies if name != "NO_PROXY"),
    )
    return [value for value in values if value]


@pytest.fixture(scope="module")
def scans(baked: dict[str, Any], private: list[str]) -> dict[str, dict[str, Any]]:
    def scan(service: str) -> dict[str, Any]:
        flags = ("--rm", "--interactive", "--user=0", "--network=none", "--entrypoint=python")
        return dict(
            json.loads(docker("run", *flags, baked[service]["digest"], "-", *private, stdin=SCAN))
        )

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(SERVICES, pool.map(scan, SERVICES), strict=True))


def test_every_image_keeps_its_budget(baked: dict[str, Any], fleet: Fleet) -> None:
    running = (service for service in fleet.plan.services if service.service in SERVICES)
    budgets = {service.service: service.budget.uncompressed for service in running}
    assert all(budgets.values())
    assert {
        name for name, limit in budgets.items() if baked[name]["uncompressed"] > (limit or 0)
    } == set()


@pytest.mark.parametrize(
    ("base", "service"), [(base, service) for base, on in BASES.items() for service in on]
)
def test_an_image_begins_with_the_layers_of_its_base(
    baked: dict[str, Any], fleet: Fleet, base: str, service: str
) -> None:
    chain = fleet.layers(base)
    assert [layer["diff"] for layer in baked[service]["layers"]][: len(chain)] == chain
    assert inspected(baked[service]["digest"], ".RootFS.Layers")[: len(chain)] == chain


def test_ml_stands_on_web_and_web_and_client_on_the_runtime(
    baked: dict[str, Any], fleet: Fleet
) -> None:
    runtime, web, ml = fleet.layers("runtime"), fleet.layers("base-web"), fleet.layers("base-ml")
    assert ml[: len(web)] == web
    assert web[: len(runtime)] == runtime
    assert [layer["diff"] for layer in baked["client"]["layers"]][: len(runtime)] == runtime


def test_embedding_and_hybrid_share_their_weights_as_one_layer_right_after_the_base(
    baked: dict[str, Any], fleet: Fleet
) -> None:
    place = len(fleet.layers("base-ml"))
    embedding, hybrid = baked["embedding"]["layers"], baked["hybrid"]["layers"]
    assert embedding[: place + 1] == hybrid[: place + 1]
    assert embedding[place]["uncompressed"] > MINILM
    after = [layer["uncompressed"] for layer in embedding[place + 1 :] + hybrid[place + 1 :]]
    assert sum(after) < 2_000_000


@pytest.mark.parametrize("service", SERVICES)
def test_no_image_has_a_cuda_package_or_library(
    scans: dict[str, dict[str, Any]], service: str
) -> None:
    scan = scans[service]
    assert [name for name in scan["packages"] if CUDA_PACKAGE.match(name)] == []
    assert [path for name, path in scan["files"].items() if CUDA_LIBRARY.match(name)] == []
    expected = {"torch"} if service in BASES["base-ml"] else set()
    expected |= {"fastapi"} if service != "client" else set()
    assert {"torch", "fastapi"} & set(scan["packages"]) == expected, "the scan sees what is there"


@pytest.mark.parametrize("service", SERVICES)
def test_no_image_has_a_shell_an_installer_or_a_way_to_become_root(
    baked: dict[str, Any], scans: dict[str, dict[str, Any]], service: str
) -> None:
    assert inspected(baked[service]["digest"], ".Config.User") == "65532:65532"
    scan = scans[service]
    assert {name: path for name, path in scan["files"].items() if name in SHELLS | INSTALLERS} == {}
    assert scan["setuid"] == []
    assert "python3.11" in scan["files"], "the scan sees what is there"


@pytest.mark.parametrize("service", SERVICES)
def test_no_image_tells_of_the_machine_that_built_it(
    baked: dict[str, Any], scans: dict[str, dict[str, Any]], private: list[str], service: str
) -> None:
    image = baked[service]["digest"]
    said = json.dumps(inspected(image, ".")) + docker(
        "history", "--no-trunc", "--format={{json .}}", image
    )
    assert "COPY /app /app" in said, "the history is there"
    assert [
        word for word in (*private, "BEGIN CERTIFICATE", "_PROXY", "_proxy") if word in said
    ] == []
    assert scans[service]["private"] == []
    assert "inside" not in scans[service]["top"], "what steps mounted has left no trace"


def test_every_image_trusts_whom_the_external_python_image_trusts(
    fleet: Fleet, scans: dict[str, dict[str, Any]]
) -> None:
    python = fleet.around.externals["python"].removeprefix("docker-image://")
    words = ("run", "--rm", "--network=none", "--entrypoint=sha256sum", python)
    bundle = docker(*words, "/etc/ssl/certs/ca-certificates.crt").split()[0]
    assert {scan["ca"] for scan in scans.values()} == {bundle} and len(scans) == len(SERVICES)


# --- negative controls: a smoke that passes without what its service needs would prove nothing

API_SMOKE = ROOT / "examples/atlas/services/api/smoke.py"
# Folders of site-packages that the app of `api` and its smoke import.
NEEDED = ("fastapi", "starlette", "pydantic", "pydantic_core", "uvicorn", "httpx", "anyio", "idna")
CONTROL = """\
import runpy, shutil, sys, sysconfig
for name in sys.argv[1:]:
    shutil.rmtree(f"{sysconfig.get_path('purelib')}/{name}")
smoke = runpy.run_path("/smoke.py")
smoke["imports"]()
smoke["load"]()
"""


def controlled(image: str, *removed: str) -> int:
    mounted = ("--user=0", f"--volume={API_SMOKE}:/smoke.py:ro", "--entrypoint=python")
    words = ("docker", "run", "--rm", "--network=none", *mounted, image, "-c", CONTROL)
    return call(*words, *removed).code


@pytest.mark.slow
def test_a_smoke_fails_without_any_package_that_its_service_needs(baked: dict[str, Any]) -> None:
    image = baked["api"]["digest"]
    assert controlled(image) == 0
    assert [name for name in NEEDED if controlled(image, name) == 0] == []
