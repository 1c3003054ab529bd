"""An SBOM as a document: what is in it, what is not, and that nothing in it varies by itself."""

import json
from dataclasses import replace
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from slimbake.inside.locked import HEADER
from slimbake.release.sbom import read_sbom_locks
from slimbake.release.sbom_document import document
from slimbake.release.sbom_model import (
    DebianPackage,
    Distribution,
    InstalledContents,
    Locked,
    SbomLocks,
    WeightsFolder,
    parse_contents,
)

FOUND = InstalledContents(
    python="3.11.2",
    machine="x86_64",
    system="debian",
    release="13",
    debian=(
        DebianPackage("zlib1g", "1:1.3+really-1", "amd64", "zlib", "1:1.3+really-1"),
        DebianPackage("tzdata", "2026f", "all"),
    ),
    distributions=(
        Distribution("torch", "2.13.0+cpu"),
        Distribution("setuptools", "80"),
        Distribution("packaging", "26"),
        Distribution("packaging", "24", within="setuptools"),
        Distribution("atlas-common", "0.1"),
    ),
)
PACKAGES = (
    Locked("torch", "2.13.0+cpu", (), "base-ml"),
    Locked("setuptools", "80", ("a" * 64,), "base-ml"),
    Locked("packaging", "26", ("b" * 64, "c" * 64), "base-ml"),
    Locked("dropped", "1", ("d" * 64,), "base-ml"),
    Locked("a-model", "3", ("e" * 64,), "weights-a-model", model=True),
)


LOCKED = SbomLocks(
    PACKAGES,
    {
        DebianPackage("tzdata", "2026f", "all"): "f" * 64,
        DebianPackage("libpq5", "17", "amd64"): "0" * 64,
    },
    (
        WeightsFolder(
            "models-small", (("config.json", "1" * 64), ("a/model.safetensors", "2" * 64))
        ),
    ),
)


def made(
    found: InstalledContents = FOUND, locks: SbomLocks = LOCKED, lock: str = "sha256:1"
) -> dict[str, Any]:
    return dict(json.loads(document("atlas", "api", found, locks, lock)))


def component(of: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = (each for each in of["components"] if each["name"] == name)
    return dict(found)


def test_it_says_what_the_image_holds() -> None:
    document = made()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(document)) is None
    assert {each["name"]: each["type"] for each in document["components"]} == {
        "CPython": "platform",
        "debian": "operating-system",
        **dict.fromkeys(("a-model", "models-small"), "machine-learning-model"),
        **dict.fromkeys(
            ("atlas-common", "packaging", "setuptools", "torch", "tzdata", "zlib1g"), "library"
        ),
    }
    assert document["metadata"]["component"]["name"] == "api"
    assert document["metadata"]["component"]["properties"] == [
        {"name": "slimbake:lock", "value": "sha256:1"}
    ]
    assert "timestamp" not in document["metadata"]


def test_packages_are_called_as_scanners_call_them() -> None:
    document = made()
    assert component(document, "torch")["purl"] == "pkg:pypi/torch@2.13.0%2Bcpu"
    assert component(document, "CPython")["purl"] == "pkg:generic/python@3.11.2"
    assert component(document, "CPython")["cpe"] == "cpe:2.3:a:python:python:3.11.2:*:*:*:*:*:*:*"
    purl = component(document, "zlib1g")["purl"]
    assert (
        purl == "pkg:deb/debian/zlib1g@1:1.3%2Breally-1?arch=amd64&distro=debian-13&upstream=zlib"
    )
    purl = component(document, "tzdata")["purl"]
    assert purl == "pkg:deb/debian/tzdata@2026f?arch=all&distro=debian-13"


def test_scanners_learn_what_debian_built_a_package_from() -> None:
    """Debian's security tracker knows source packages alone."""
    found = DebianPackage("libgcc-s1", "14.2.0-19+b1", "amd64", "gcc-14", "2:14.2.0-19")
    each = component(made(replace(FOUND, debian=(found,))), "libgcc-s1")
    assert each["purl"].endswith("&upstream=gcc-14%402:14.2.0-19")
    assert {p["name"].rpartition(":")[2]: p["value"] for p in each["properties"]} == {
        "SrcName": "gcc-14",
        "SrcEpoch": "2",
        "SrcVersion": "14.2.0",
        "SrcRelease": "19",
    }


def test_hashes_are_the_lock_s() -> None:
    document = made()
    assert [h["content"] for h in component(document, "packaging")["hashes"]] == [
        "b" * 64,
        "c" * 64,
    ]
    assert component(document, "packaging")["properties"] == [
        {"name": "slimbake:layer", "value": "base-ml"}
    ]
    assert "hashes" not in component(document, "torch"), "unresolved: upstream's could not be asked"
    assert "hashes" not in component(document, "atlas-common"), (
        "a package of the repository is in no lock"
    )
    assert [h["content"] for h in component(document, "tzdata")["hashes"]] == ["f" * 64]
    assert "hashes" not in component(document, "zlib1g"), "the external image brought it"


def test_weights_of_the_repository_are_their_files() -> None:
    files = component(made(), "models-small")["components"]
    assert {(f["type"], f["name"], f["hashes"][0]["content"]) for f in files} == {
        ("file", "config.json", "1" * 64),
        ("file", "a/model.safetensors", "2" * 64),
    }


def test_what_a_package_carries_as_a_part_of_itself_stands_within_it() -> None:
    (part,) = component(made(), "setuptools")["components"]
    assert (part["name"], part["version"], part.get("hashes")) == ("packaging", "24", None)


def test_another_version_than_the_locked_one_has_no_hash() -> None:
    other = replace(FOUND, distributions=(Distribution("packaging", "25"),))
    assert "hashes" not in component(made(other), "packaging")


def test_same_contents_give_the_same_bytes_in_any_order() -> None:
    other = replace(FOUND, debian=FOUND.debian[::-1], distributions=FOUND.distributions[::-1])
    locks = replace(LOCKED, packages=PACKAGES[::-1])
    assert document("atlas", "api", other, locks, "") == document("atlas", "api", FOUND, LOCKED, "")


@pytest.mark.parametrize(
    "change", [{"lock": "sha256:2"}, {"locks": SbomLocks()}, {"found": replace(FOUND, debian=())}]
)
def test_the_serial_number_is_that_of_the_contents(change: dict[str, Any]) -> None:
    assert made()["serialNumber"] == made()["serialNumber"] != made(**change)["serialNumber"]


def test_what_an_image_says_of_itself_is_read() -> None:
    package = {"name": "libc6", "version": "2.41", "architecture": "amd64"}
    found = {
        "python": "3.11.2",
        "machine": "x86_64",
        "system": {"name": "debian", "version": "13"},
        "debian": [{**package, "source": "glibc", "source_version": "2.41"}],
        "distributions": [
            {"name": "Typing_Extensions", "version": "4", "within": ""},
            {"name": "jaraco.text", "version": "4", "within": "Setup_Tools"},
        ],
    }
    read = parse_contents(json.dumps(found))
    assert read.debian == (DebianPackage("libc6", "2.41", "amd64"),)
    assert read.debian[0].source == "glibc"
    assert read.distributions == (
        Distribution("typing-extensions", "4"),
        Distribution("jaraco-text", "4", within="setup-tools"),
    )


def test_locks_give_packages_models_debian_packages_and_files() -> None:
    digest = {"six": "a" * 64, "model": "b" * 64, "deb": "c" * 64, "file": "d" * 64}
    wheel = "# six-1.17.0-py2.py3-none-any.whl 11050\n"
    found = read_sbom_locks(
        {
            "base-ml.txt": (f"{HEADER}{wheel}six==1.17.0 \\\n    --hash=sha256:{digest['six']}\n"),
            "base-ml.system.txt": f"# words\nlibpq5 17.6-0 amd64 libpq5.deb 200 {digest['deb']}\n",
            "weights-a-model.txt": (
                f"# a_model-3-py3-none-any.whl 5\na-model==3 \\\n    --hash=sha256:{digest['model']}\n"
            ),
            "weights-models-small.txt": f"# words\n{digest['file']}  config.json\n",
        },
        "x86_64",
    )
    assert found == SbomLocks(
        (
            Locked("six", "1.17.0", (digest["six"],), "base-ml"),
            Locked("a-model", "3", (digest["model"],), "weights-a-model", model=True),
        ),
        {DebianPackage("libpq5", "17.6-0", "amd64"): digest["deb"]},
        (WeightsFolder("models-small", (("config.json", digest["file"]),)),),
    )


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_locks_give_what_is_for_the_image_s_kind_of_machine(machine: str) -> None:
    def lines(name: str, version: str, where: str, sha256: str) -> str:
        return (
            f"# {name}-{version}-cp311-cp311-manylinux_2_17_{where}.manylinux2014_{where}.whl 5\n"
            f'{name}=={version} ; platform_machine == "{where}" \\\n    --hash=sha256:{sha256}\n'
        )

    amd, arm = "a" * 64, "b" * 64
    both = (
        "# six-1-cp311-cp311-linux_aarch64.whl 5\n# six-1-cp311-cp311-linux_x86_64.whl 5\n"
        f"six==1 \\\n    --hash=sha256:{arm} \\\n    --hash=sha256:{amd}\n"
    )
    text = f"{HEADER}{lines('fast', '2', 'x86_64', amd)}{lines('fast', '1', 'aarch64', arm)}{both}"
    version, sha256 = {"x86_64": ("2", amd), "aarch64": ("1", arm)}[machine]
    assert read_sbom_locks({"api.txt": text}, machine).packages == (
        Locked("fast", version, (sha256,), "api"),
        Locked("six", "1", (sha256,), "api"),
    )


def test_a_model_in_another_form_is_reported_with_what_it_was_made_from() -> None:
    forms = {"a-model": "a-model-onnx-int8", "models-small": "models-small-onnx-fp32"}
    locks = read_sbom_locks(
        {
            "weights-a-model.txt": (
                f"{HEADER}# a_model-3-py3-none-any.whl 5\na-model==3 \\\n    --hash=sha256:{'1' * 64}\n"
            ),
            "weights-models-small.txt": f"# words\n{'1' * 64}  config.json\n",
        },
        "x86_64",
        {f"weights-{name}.txt": form for name, form in forms.items()},
    )
    whole = made(locks=locks)
    for ancestor, name in forms.items():
        found = component(whole, name)
        assert found["type"] == "machine-learning-model"
        assert [each["name"] for each in found["pedigree"]["ancestors"]] == [ancestor]
        assert "components" not in found  # no file of the ancestor is in the image
        assert ancestor not in [each["name"] for each in whole["components"]]
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(whole)) is None
