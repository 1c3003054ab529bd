"""Names that mean something everywhere, and how others are derived. One function for each."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict

from slimbake.config.model import OwnStage

# What slimbake writes into a repository: one folder, which is committed.
BAKE = "bake"
LOCKS = f"{BAKE}/locks"
DOCKERFILES, PROGRAMS = f"{BAKE}/dockerfiles", f"{BAKE}/programs"
LAYERS = f"{DOCKERFILES}/layers"  # what each layer of packages is made of, and how
TOOL = f"{BAKE}/slimbake.txt"  # what pipelines install to get slimbake
SCHEMA = f"{BAKE}/services.schema.json"  # the manifest's, for editors
PARITY, SIZES = f"{BAKE}/parity.json", f"{BAKE}/sizes.json"  # what was measured

CPU = "cpu"  # the build of torch without CUDA; the default
CUDA = "cuda"  # the build of torch that the index of everything else has, with CUDA
ONNX = "onnx"  # the value of `inference`, and the end of the name of the base that it runs on
EXPORT = "export"  # the end of the name of the base on which models are exported
SHELL = ("coreutils", "dash")  # the Debian packages of `shell: true`
VERSION = "{version}"  # what stands for that of Python in an image
USER = "65532:65532"  # whom services run as, `nonroot` in the runtime: that of inside.step
WEIGHTS_FOLDER = "/weights"  # where services find their model
NONROOT_HOME = "/home/nonroot"  # that of inside.make.runtime
HOME = "/home/app"  # of another user; that of inside.make.layer


STEPS = "build-"  # how the stages and contexts of the steps of `build` begin


def step_image(image: str) -> str:
    """The name of an image that steps of `build` run in, as an external."""
    return f"{STEPS}image-{_slug(image, '-')}"


FROM = "from_"  # how externals of `from` begin; no name of a manifest has a `_`


def from_image(image: str) -> str:
    """The name of an image of `from`, as an external."""
    return f"{FROM}{_slug(image, '_')}"


def from_runtime(image: str) -> str:
    """The name of the target that makes a runtime of it."""
    return f"runtime_{_slug(image, '_')}"


def _slug(image: str, between: str) -> str:
    """An image as a word of a name: what people know it by, and what no other image has."""
    digest = hashlib.sha256(image.encode()).hexdigest()[:8]
    return f"{re.sub('[^a-z0-9]+', '-', image.lower()).strip('-')[:40]}{between}{digest}"


def of_python(name: str, version: str, default: str) -> str:
    """The name of what there is once for each version of Python: a target, or a lock. That of the
    fleet's own has none; bake takes no dot in a name.
    """
    if version == default:
        return name
    return f"{name}-{version.replace('.', '_')}"


def derived(name: str, variant: str) -> str:
    """The name of the copy of a base or service that is made for a variant."""
    return f"{name}-{variant}"


def base_target(name: str) -> str:
    """The name of the target, and of the lock, of a base."""
    return f"base-{name}"


def weights_target(name: str) -> str:
    """The same of weights."""
    return f"weights-{name}"


def wheel_target(name: str) -> str:
    """The same of a package of the repository, which is built as a wheel."""
    return f"wheel-{name}"


LAYER = "layer_"  # how targets of layers of packages begin; no name of a manifest has a `_`


def wheel_layer(package: str, key: str) -> str:
    """The name of the layer of one heavy wheel. `key`: in hexadecimal."""
    return f"{LAYER}{package}_{key[:8]}"


def rest_layer(lock: str) -> str:
    """The name of the layer that has the lighter rest of a lock."""
    return f"{LAYER}{lock}"


STAGE = "stage_"  # how targets of stages of the user's own Dockerfiles begin


def stage_target(stage: OwnStage) -> str:
    """The name of the target of such a stage: one for all services that take files of it."""
    digest = hashlib.sha256(json.dumps(asdict(stage), sort_keys=True).encode()).hexdigest()[:8]
    words = re.sub("[^a-z0-9]+", "-", (stage.target or stage.dockerfile).lower()).strip("-")
    return f"{STAGE}{words[:40]}_{digest}"
