"""Digests in texts of the user's: each form of an image, and what stays as it is."""

import pytest

from slimbake.config.document import Position
from slimbake.config.report import RefusedError
from slimbake.deploy.references import named_images, with_digests

OLD, NEW = f"sha256:{'0' * 64}", f"sha256:{'f' * 64}"
API = "ghcr.io/one/api"

MANIFEST = f"""\
# The API. ä𝒳
apiVersion: apps/v1
kind: Deployment
spec:
  containers:
    - name: "api"
      image:   '{API}:1.1'   # by CI
    - image: {API}@{OLD}
      args: [--image, {API}:1.1]
    - image: postgres:17
---
# nothing in this one
---
kind: Pod
spec: {{volumes: [{{name: weights, image: {{reference: "{API}", pullPolicy: Always}}}}]}}
"""
WRITTEN = f"""\
# The API. ä𝒳
apiVersion: apps/v1
kind: Deployment
spec:
  containers:
    - name: "api"
      image:   '{API}:1.2@{NEW}'   # by CI
    - image: {API}:1.2@{NEW}
      args: [--image, {API}:1.1]
    - image: postgres:17
---
# nothing in this one
---
kind: Pod
spec: {{volumes: [{{name: weights, image: {{reference: "{API}:1.2@{NEW}", pullPolicy: Always}}}}]}}
"""


def written(text: str, tag: str = "1.2") -> str:
    ours = [image for image in named_images(text) if image.repository == API]
    return with_digests(text, [(image, tag, NEW) for image in ours])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(MANIFEST, WRITTEN, id="a manifest"),
        pytest.param(WRITTEN, WRITTEN, id="a manifest that has them"),
        pytest.param(
            MANIFEST.replace("\n", "\r\n"), WRITTEN.replace("\n", "\r\n"), id="lines of Windows"
        ),
        pytest.param(
            f'{{"image": "{API}", "size": 1}}',
            f'{{"image": "{API}:1.2@{NEW}", "size": 1}}',
            id="JSON",
        ),
        pytest.param(
            f"image: &x {API}\nb: *x\n", f"image: &x {API}:1.2@{NEW}\nb: *x\n", id="anchor"
        ),
        pytest.param(
            f"images:\n- name: {API}\n  newTag: 1.1  # bumped\n- {{name: api, newName: {API}}}\n",
            f'images:\n- name: {API}\n  newTag: "1.2"  # bumped\n  digest: {NEW}\n'
            f"- {{name: api, newName: {API}, digest: {NEW}}}\n",
            id="a kustomization without digests",
        ),
        pytest.param(
            f"images:\n  - digest: {OLD}\n    name: api\n    newName: {API}",
            f"images:\n  - digest: {NEW}\n    name: api\n    newName: {API}",
            id="a kustomization with a digest",
        ),
        pytest.param(
            f"images:\n  - name: {API} # c",
            f"images:\n  - name: {API} # c\n    digest: {NEW}",
            id="a kustomization that ends without a newline",
        ),
        pytest.param(
            f"api:\n  image:\n    repository: {API}\n    tag: 'main'\n    digest: # none yet\n",
            f"api:\n  image:\n    repository: {API}\n    tag: '1.2'\n    digest: {NEW} # none yet\n",
            id="values with a digest",
        ),
        pytest.param(
            f"image: {{repository: {API}, tag: 1.1, pullPolicy: Always}}\n",
            f"image: {{repository: {API}, tag: 1.2@{NEW}, pullPolicy: Always}}\n",
            id="values of a chart that reads no digest",
        ),
        pytest.param(
            "image:\n  repository: one/api\n  registry: ghcr.io\n",
            f"image:\n  repository: one/api\n  tag: 1.2@{NEW}\n  registry: ghcr.io\n",
            id="values without a tag, with a registry",
        ),
        pytest.param(
            f'{{"image": {{"repository": "{API}"}}}}',
            f'{{"image": {{"repository": "{API}", "tag": "1.2@{NEW}"}}}}',
            id="values as JSON",
        ),
    ],
)
def test_only_what_names_an_image_changes(before: str, after: str) -> None:
    assert written(before) == after
    assert written(after) == after


def test_a_tag_that_would_be_a_number_is_quoted() -> None:
    text = f"images: [{{name: {API}, newTag: v1, digest: {OLD}}}]\n"
    quoted = f'images: [{{name: {API}, newTag: "20261202", digest: {NEW}}}]\n'
    assert written(text, "20261202") == quoted


def test_places_are_those_of_values() -> None:
    (image, *_) = named_images(MANIFEST)
    assert (image.place, image.text) == (Position(7, 16), f"{API}:1.1")


@pytest.mark.parametrize(
    "text",
    [
        *("", "---\n", "- 1\n", "image:\n", "image: [a]\n", "image: {a: b}\n", "images: {name: x}"),
        *(
            "image: https://one/two.png\n",
            "image: One Two\n",
            "repository: https://one.example.com",
        ),
        *("image: '{{ .Values.image }}'\n", "? [image]\n: x\n", "images: [x, {newTag: 1}]\n"),
        *("image: ghcr.io/one/api:${TAG}\n", "a: &a {b: 1}\nc: *a\n", "!custom {image: !x [1]}"),
    ],
)
def test_what_is_no_image_is_none(text: str) -> None:
    assert named_images(text) == ()


@pytest.mark.parametrize(
    ("text", "message", "place"),
    [
        pytest.param(
            f"a: &t 1\nx: {{repository: {API}, tag: *t}}\ny: {{repository: {API}-2, tag: *t}}\n",
            "images of two services share this value",
            Position(1, 4),
            id="an anchor of two",
        ),
        pytest.param(
            f"image: >-\n  {API}\n",
            "the name of an image in a block of text",
            Position(1, 8),
            id="a block",
        ),
        pytest.param(
            f"images:\n- name: |-\n    {API}\n",
            "the name of an image in a block of text",
            Position(2, 9),
            id="a block before what is inserted",
        ),
        pytest.param(
            f"images:\n- ? name\n  : {API}\n",
            "laid out in a way that cannot be changed",
            Position(3, 5),
            id="a key with a question mark",
        ),
        pytest.param(
            f"{{repository: {API}, tag}}\n",
            "laid out in a way that cannot be changed",
            Position(1, 14),
            id="a key without a colon",
        ),
    ],
)
def test_what_cannot_be_replaced_is_refused(text: str, message: str, place: Position) -> None:
    images = named_images(text)
    tags = ("1.2", "1.3")
    with pytest.raises(RefusedError) as caught:
        with_digests(text, [(i, tag, NEW) for i, tag in zip(images, tags, strict=False)])
    assert (caught.value.message, caught.value.place) == (message, place)


@pytest.mark.parametrize(
    ("text", "message", "hint", "place"),
    [
        (
            "a: 1\n{{- if .Values.on }}\nimage: x\n{{- end }}\n",
            "not YAML: could not find expected ':'",
            "it looks like a template: name the file that has its values, such as values.yaml",
            Position(3, 1),
        ),
        ("a: [1\n", "not YAML: did not find expected ',' or ']'", "", Position(2, 1)),
        ("[" * 2000, "not YAML: exceeded maximum nesting depth", "", Position(1, 1001)),
        ("a: *b\n", "not YAML: found undefined alias", "", Position(1, 4)),
        ("a: \x01\n", "not YAML: control characters are not allowed", "", None),
    ],
)
def test_what_is_no_yaml_is_refused(
    text: str, message: str, hint: str, place: Position | None
) -> None:
    with pytest.raises(RefusedError) as caught:
        named_images(text)
    error = caught.value
    assert (error.message, error.hint, error.place) == (message, hint, place)
