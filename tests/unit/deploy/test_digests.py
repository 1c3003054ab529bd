"""What was released, for what deploys it."""

import contextlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.unit.registries import Registry, registry

from slimbake.cli import slimbake
from slimbake.deploy.digests import deploy_files
from slimbake.errors import NothingSelected, SetupError, SlimbakeError, UsageError
from slimbake.project import load
from slimbake.registry.documents import MANIFEST

FLEET = """\
project: atlas
python: "3.11"
services:
  api: {context: api}
  big-model: {context: api, variants: {cpu: {}, gpu: {}}}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "api").mkdir()
    (tmp_path / "services.yaml").write_text(FLEET)
    return tmp_path / "services.yaml"


def exported(file: Path, held: Registry, *more: str) -> Any:
    at = (f"--registry={held.name}/atlas", "--tag=1.2", f"--manifest={file}")
    done = CliRunner().invoke(slimbake, ["export", "digests", *at, *more])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return json.loads(done.stdout)


def test_images_are_named_by_their_digests(file: Path) -> None:
    with registry() as held:
        api = held.put("1.2", MANIFEST, {"schemaVersion": 2})
        gpu = held.put("1.2-gpu", MANIFEST, {"schemaVersion": 2, "annotations": {"a": "b"}})
        at = f"{held.name}/atlas"
        found = exported(file, held)
        assert found["api"] == {"image": f"{at}/api@{api}"}
        assert set(found) == {"api", "big-model"}, "the first variant of each"
        named = exported(file, held, "big-model-gpu")
        assert named["big-model-gpu"]["image"] == f"{at}/big-model@{gpu}"


def test_mounted_weights_are_named_beside_the_service(file: Path) -> None:
    (file.parent / "model").mkdir()
    file.write_text(
        f"{FLEET}  says: {{context: api, weights: {{path: model, mount: image}}, command: [python, a]}}\n"
    )
    with registry() as held:
        image = held.put("1.2", MANIFEST, {"schemaVersion": 2})
        weights = f"{held.name}/atlas/weights-model@{image}"
        assert exported(file, held, "says")["says"]["weights"] == weights


def test_what_was_not_released_is_named(file: Path) -> None:
    with registry() as held:
        held.put("1.2-gpu", MANIFEST, {"schemaVersion": 2})
        with pytest.raises(SetupError) as caught:
            exported(file, held)
    assert caught.value.message.splitlines() == [
        f"{held.name}/atlas/api:1.2: the registry has none",
        f"{held.name}/atlas/big-model:1.2: the registry has none",
    ]


def test_without_a_registry_nothing_is_released(file: Path) -> None:
    done = CliRunner().invoke(slimbake, ["export", "digests", f"--manifest={file}"])
    assert isinstance(done.exception, UsageError)
    assert done.exception.message == "services.yaml names no registry, so nothing is released"


DEPLOYMENT = """\
# kept
spec:
  containers:
    - image: {at}/api:1.1  # the API
    - image: {at}/big-model:1.1-gpu
"""


def images(file: Path, held: Registry, *words: str, tag: str = "1.2") -> Result:
    """Write the digests into files, from the folder of the manifest."""
    options = (f"--registry={held.name}/atlas", f"--tag={tag}", f"--manifest={file}")
    with contextlib.chdir(file.parent):
        done = CliRunner().invoke(slimbake, ["export", "images", *words, *options])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


@contextmanager
def released() -> Iterator[tuple[Registry, str, str]]:
    """A registry with release 1.2 of all, and the digests of `api` and `big-model-gpu`."""
    with registry() as held:
        api = held.put("1.2", MANIFEST, {"schemaVersion": 2})
        gpu = held.put("1.2-gpu", MANIFEST, {"schemaVersion": 2, "annotations": {"a": "b"}})
        yield held, api, gpu


def test_digests_are_written_into_files_of_the_users(file: Path) -> None:
    deployment, other = file.parent / "deploy/api.yaml", file.parent / "deploy/other.yaml"
    deployment.parent.mkdir()
    with released() as (held, api, gpu):
        at = f"{held.name}/atlas"
        deployment.write_bytes(b"\xef\xbb\xbf" + DEPLOYMENT.format(at=at).encode())
        deployment.chmod(0o600)
        other.write_text("kind: Service\n")
        found = json.loads(
            images(file, held, str(deployment), "deploy/other.yaml", "--json").stdout
        )
        assert found == {
            "images": {
                "api": {
                    "image": f"{at}/api@{api}",
                    "changed": True,
                    "places": ["deploy/api.yaml:4:14"],
                },
                "big-model-gpu": {
                    "image": f"{at}/big-model@{gpu}",
                    "changed": True,
                    "places": ["deploy/api.yaml:5:14"],
                },
            },
            "files": ["deploy/api.yaml"],
            "unnamed": [],
            "strangers": {},
        }
        text = deployment.read_text("utf-8-sig")
        assert text == DEPLOYMENT.format(at=at).replace("api:1.1", f"api:1.2@{api}").replace(
            "1.1-gpu", f"1.2-gpu@{gpu}"
        )
        assert deployment.read_bytes().startswith(b"\xef\xbb\xbf")
        assert deployment.stat().st_mode & 0o777 == 0o600
        assert [path.name for path in deployment.parent.iterdir()] != []
        held.put("1.3", MANIFEST, {"schemaVersion": 2})
        held.put("1.3-gpu", MANIFEST, {"schemaVersion": 2, "annotations": {"a": "c"}})
        again = images(file, held, "deploy/api.yaml", tag="1.3")
        assert again.stdout.splitlines() == [
            "unchanged: api (deploy/api.yaml:4:14)",
            "changed: big-model-gpu (deploy/api.yaml:5:14)",
        ]


def test_files_can_go_to_stdout(file: Path) -> None:
    (file.parent / "a.yaml").write_text("kind: Service")
    with released() as (held, api, _):
        text = f"images: [{{name: {held.name}/atlas/api}}]\n"
        (file.parent / "b.yaml").write_text(text)
        done = images(file, held, "a.yaml", "b.yaml", "b.yaml", "--stdout")
        assert done.stdout == (
            f"kind: Service\n---\nimages: [{{name: {held.name}/atlas/api, digest: {api}}}]\n"
        )
        assert (file.parent / "b.yaml").read_text() == text


def test_what_files_and_services_do_not_have_of_one_another_is_a_warning(file: Path) -> None:
    with released() as (held, *_):
        at = f"{held.name}/atlas"
        names = (f"{at}/api", f"{at}/apo:1.1", f"{at}-2/api", "postgres:17")
        lines = [f"- image: {name}\n" for name in names]
        (file.parent / "a.yaml").write_text("".join(lines))
        done = images(file, held, "a.yaml", "--json")
        found = json.loads(done.stdout)
        assert (found["unnamed"], found["strangers"]) == (
            ["big-model"],
            {"a.yaml:2:10": f"{at}/apo:1.1"},
        )
        assert done.stderr.splitlines()[-3:] == [
            f"warning: a.yaml:2:10: {at}/apo:1.1 is no image of a service",
            "  did you mean 'api'?",
            "warning: no file names an image of big-model",
        ]


@pytest.mark.parametrize(
    ("registry_name", "image"),
    [
        ("docker.io/one", "one/api:1"),
        ("one", "docker.io/one/api"),
        ("one", "index.docker.io/one/api:1"),
        ("127.0.0.1:5000/one", "127.0.0.1:5000/one/api"),
    ],
)
def test_names_of_one_image_are_one(file: Path, registry_name: str, image: str) -> None:
    (file.parent / "a.yaml").write_text(f"image: {image}\n")
    plan = load(file).plan
    (read,) = deploy_files(plan, file.parent, [file.parent / "a.yaml"], registry_name)
    assert [target for _, target in read.images] == ["api"]


BAD = {
    "template.yaml": b"{{ if .Values.a }}\nimage: x\n",
    "latin.yaml": b"# \xe9\n",
    "digest.yaml": b"image: r.example.com/one/big-model@sha256:" + b"0" * 64,
    "folder.yaml/file": b"",
}


def test_every_fault_of_every_file_is_reported_and_nothing_is_written(file: Path) -> None:
    root = file.parent
    for name, content in BAD.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(content)
    (root / "leads-out.yaml").symlink_to("/etc/hostname")
    (root / "good.yaml").write_text("image: r.example.com/one/api\n")
    names = ("good.yaml", "none.yaml", "../above.yaml", "/etc/hostname", "leads-out.yaml")
    files = (*names, "template.yaml", "latin.yaml", "digest.yaml", "folder.yaml")
    with pytest.raises(UsageError) as caught, contextlib.chdir(root):
        deploy_files(load(file).plan, root, map(Path, files), "r.example.com/one")
    hostname = os.path.relpath("/etc/hostname", root)
    assert caught.value.message.splitlines() == [
        "none.yaml: 'none.yaml' does not exist",
        "../above.yaml: '../above.yaml' lies outside the repository",
        "  it must lie in or below the manifest's folder",
        f"{hostname}: '{hostname}' lies outside the repository",
        "  it must lie in or below the manifest's folder",
        f"leads-out.yaml: 'leads-out.yaml' is a link that leads out of the repository, to '{hostname}'",
        "  a build sees the repository only: move or copy it in",
        "template.yaml:2:1: not YAML: did not find expected <document start>",
        "  it looks like a template: name the file that has its values, such as values.yaml",
        "latin.yaml:1:3: the byte 0xe9 is no UTF-8",
        "  save the file as UTF-8",
        f"digest.yaml:1:8: r.example.com/one/big-model@sha256:{'0' * 64} may be any of big-model, big-model-gpu",
        "  name one by a tag: latest, latest-gpu",
        "folder.yaml: 'folder.yaml' is a folder, and a file is wanted",
    ]


def test_nothing_is_written_where_one_file_cannot_be_replaced(file: Path) -> None:
    with released() as (held, *_):
        at = f"{held.name}/atlas"
        (file.parent / "a.yaml").write_text(f"image: {at}/api\n")
        (file.parent / "b.yaml").write_text(f"image: >-\n  {at}/api\n")
        with pytest.raises(UsageError) as caught:
            images(file, held, "a.yaml", "b.yaml")
        assert caught.value.message == (
            "b.yaml:1:8: the name of an image in a block of text\n  write the image on one line"
        )
        (file.parent / "c.yaml").write_text(f"image: {at}/big-model\n")
        with pytest.raises(SetupError) as unreleased:
            images(file, held, "a.yaml", "c.yaml", tag="2.0")
        assert "api:2.0: the registry has none" in unreleased.value.message
        assert (file.parent / "a.yaml").read_text() == f"image: {at}/api\n"


@pytest.mark.parametrize(
    ("words", "kind", "message"),
    [
        (("images",), UsageError, "no file is named"),
        (("digests", "--stdout"), UsageError, "--stdout prints the files of `export images`"),
        (
            ("images", "--json", "--stdout", "a"),
            UsageError,
            "--stdout prints the files of `export images`",
        ),
        (
            ("images", "services.yaml"),
            NothingSelected,
            "no image of these files is a service's in 127.0.0.1:1/atlas",
        ),
    ],
)
def test_what_cannot_be_exported_is_refused(
    file: Path, words: tuple[str, ...], kind: type[SlimbakeError], message: str
) -> None:
    options = ("--registry=127.0.0.1:1/atlas", f"--manifest={file}")
    with contextlib.chdir(file.parent):
        done = CliRunner().invoke(slimbake, ["export", *words, *options])
    assert isinstance(done.exception, kind)
    assert done.exception.message == message
