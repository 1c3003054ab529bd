"""The script of the job that signs, as it stands in the workflow, with Debian's cosign and a registry.

There is no Fulcio here that would give a certificate: a stand-in for `cosign` on PATH replaces the
pipeline's identity by a key, and leaves all else as it is.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from tests.engine.conftest import Ended, Toy, call
from tests.engine.registries import Pushed
from tests.engine.toys import code, entry
from tools.bare import apt

from slimbake.render.workflow import GITHUB

COSIGN = "/usr/bin/cosign"
WITH_A_KEY = f"""\
#!/bin/bash
words=()
while (($#)); do
  case "$1" in
    --certificate-identity | --certificate-oidc-issuer) shift 2 ;;
    *) words+=("$1"); shift ;;
  esac
done
case "${{words[0]}}" in
  sign | attest) key=(--key "$KEYS/cosign.key" --tlog-upload=false) ;;
  *) key=(--key "$KEYS/cosign.pub" --insecure-ignore-tlog=true) ;;
esac
exec {COSIGN} "${{words[0]}}" "${{key[@]}}" "${{words[@]:1}}"
"""
pytestmark = pytest.mark.slow


@pytest.fixture
def cosign(tmp_path: Path) -> dict[str, str]:
    """The variables of a shell in which `cosign` signs and verifies with a key of the test's own."""
    if not Path(COSIGN).exists():
        if os.geteuid() or shutil.which("apt-get") is None:
            pytest.skip("cosign is not installed, and this is not root on Debian")
        apt.install("cosign")
    keys, programs = tmp_path / "keys", tmp_path / "bin"
    keys.mkdir()
    programs.mkdir()
    made = call(COSIGN, "generate-key-pair", cwd=keys, env={"COSIGN_PASSWORD": ""})
    assert made.code == 0, made.stderr
    (programs / "cosign").write_text(WITH_A_KEY)
    (programs / "cosign").chmod(0o755)
    return {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "KEYS": str(keys),
        "COSIGN_PASSWORD": "",
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_WORKFLOW_REF": f"someone/fleet/{GITHUB}@refs/heads/main",
        "RUNNER_TEMP": str(tmp_path),
    }


def script(toy: Toy, job: str) -> str:
    """The script of a job of the generated workflow."""
    steps = yaml.safe_load((toy.root / GITHUB).read_text())["jobs"][job]["steps"]
    return str(next(step["run"] for step in steps if "run" in step))


def signed(toy: Toy, env: Mapping[str, str], tag: str) -> None:
    """What the pipeline does after a push: list what was released, and sign it."""
    temp = Path(env["RUNNER_TEMP"], "released")
    temp.mkdir(exist_ok=True)
    said = toy.done("ci", "tag", "--sboms", str(temp), env={**env, "TAG": tag})
    assert "slimbake ci tag --sboms" in script(toy, "tag")
    (temp / "images.json").write_text(said.stdout)
    done = call("bash", "-e", "-c", script(toy, "sign"), cwd=toy.root, env=env)
    assert done.code == 0, done.stderr


def verified(toy: Toy, env: Mapping[str, str], tag: str) -> list[Ended]:
    """How the commands of docs/how-to/supply-chain.md end that verify what was signed."""
    found = toy.slimbake("ci", "tag", env={**env, "TAG": tag}).json()
    who = ["--certificate-identity", "the pipeline", "--certificate-oidc-issuer", "GitHub"]
    commands: list[list[str]] = []
    for each in found["images"]:
        commands.append(["cosign", "verify", *who, each["image"]])
        attested = ["cosign", "verify-attestation", "--type", "cyclonedx", *who, each["image"]]
        commands += [attested] if each["sbom"] else []
    assert len(commands) == 3, commands
    return [call(*words, cwd=toy.root, env=env) for words in commands]


def test_images_and_sboms_are_signed_once_and_verified_by_digest(
    toy: Toy, registry: str, cosign: dict[str, str], tmp_path: Path
) -> None:
    at = f"{registry}/{toy.project}"
    one = entry("one", "    base: small\n")
    manifest = (
        f"registry: {at}\nci: {{sign: cosign}}\nbases: {{small: {{requirements: [six]}}}}\n"
        f"services:\n{one}"
        "  own: {context: own, base: small, smoke: smoke.py, dockerfile: own/Dockerfile}\n"
    )
    own = {"own/Dockerfile": "FROM base\nCOPY app.py /app/\n"}
    toy.write(manifest, code(toy, "one", "own") | own)
    toy.done("bake", "--push", "--tag", "v1")
    assert [each.code == 0 for each in verified(toy, cosign, "v1")] == [False] * 3

    signed(toy, cosign, "v1")
    ended = verified(toy, cosign, "v1")
    assert [each.code for each in ended] == [0, 0, 0], ended
    image = Pushed(registry, toy, "one").manifest("v1")[0]
    (payload,) = json.loads(ended[0].stdout)
    assert payload["critical"]["image"]["docker-manifest-digest"] == image
    statement = json.loads(base64.b64decode(json.loads(ended[1].stdout)["payload"]))
    assert statement["subject"][0]["digest"]["sha256"] == image.removeprefix("sha256:")
    (sbom,) = (tmp_path / "released").glob("*.cdx.json")
    assert statement["predicate"]["components"] == json.loads(sbom.read_text())["components"]

    signed(toy, cosign, "v1")
    for kind in ("sig", "att"):
        made = Pushed(registry, toy, "one").manifest(f"{image.replace(':', '-')}.{kind}")[1]
        assert len(made["layers"]) == 1, "what is signed is not signed again"

    toy.file("one/app.py", f"print('another')  # {toy.project}\n")
    assert toy.slimbake("bake", "--push", "--tag", "v1").code == 0
    codes = [each.code == 0 for each in verified(toy, cosign, "v1")]
    assert codes == [False, False, True], "another image under the same tag has no signature"
