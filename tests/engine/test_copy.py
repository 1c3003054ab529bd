"""`copy` on a real engine: files of the context, of a stage and of an image, from cache, the same
bytes, refusals.
"""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from tests.engine.conftest import Toy, docker
from tests.engine.toys import text_of
from tools.bare.images import python_image

pytestmark = pytest.mark.slow

SECRET = {"COPY_TOKEN": "open-sesame"}
DOCKERFILE = """\
FROM IMAGE AS tools
FROM tools AS frontend
ARG TITLE
WORKDIR /work
COPY src src
RUN --mount=type=secret,id=token,required=true \\
    mkdir -m 700 -p dist/css && ln -s index.html dist/link && touch dist/css/all.css && \\
    cat src/page.html > dist/index.html && echo "$TITLE" >> dist/index.html && \\
    wc -c < /run/secrets/token >> dist/index.html && chmod 600 dist/index.html && \\
    printf '#!/bin/sh' > dist/run && chmod 4711 dist/run && chown -R 7:7 dist
FROM tools
RUN false
"""
SHOW = """\
import os
for folder, names, files in os.walk("/app/static"):
    for name in sorted([*names, *files]):
        path = os.path.join(folder, name)
        status = os.lstat(path)
        print(path, oct(status.st_mode), status.st_uid, int(status.st_mtime))
print(open("/app/static/index.html").read().split(), open("/app/count.txt").read())
print(sorted(os.listdir("/srv/other")), sorted(os.listdir("/")))
"""
COUNT = "import os; open('count.txt', 'w').write(str(len(os.listdir('static'))))"
TWO = """\
import os
print(open("/app/page.html").read().split()[1:])
print(os.listdir("/srv/conf"), open("/etc/two/a.txt").read(), os.stat("/etc/two/a.txt").st_uid)
"""
FILES = {
    "one/app.py": SHOW,
    "one/count.py": COUNT,
    "two/app.py": TWO,
    "two/conf/a.txt": "a",
    "two/conf/.hidden": "not sent",
    "web/src/page.html": "page\n",
    "web/.dockerignore": "*.md\n",
}
SHOWN = """\
/app/static/css 0o40755 0 315532800
/app/static/index.html 0o100644 0 315532800
/app/static/link 0o120777 0 315532800
/app/static/run 0o100755 0 315532800
/app/static/css/all.css 0o100644 0 315532800
['page', 'shop', '11'] 4
['os-release'] """


def write(toy: Toy, changes: Mapping[str, str] = {}) -> None:
    """The fleet of these tests; `changes`: of texts of its manifest."""
    manifest = text_of("copy.yaml").replace("IMAGE", python_image("3.13"))
    for old, new in changes.items():
        assert old in manifest
        manifest = manifest.replace(old, new)
    dockerfile = DOCKERFILE.replace("IMAGE", python_image("3.11"))
    alone = {"web/Dockerfile": dockerfile, "web/src/project.txt": toy.project}  # nothing is cached
    toy.write(manifest, {**FILES, **alone})


def test_files_of_the_context_a_stage_and_an_image_lie_in_the_image(toy: Toy) -> None:
    write(toy)
    done = toy.done("bake", "--json", env=SECRET)
    shown = docker("run", "--rm", toy.image("one"))
    assert shown.startswith(SHOWN), shown
    assert "inside" not in shown and "make.pyz" not in shown
    assert docker("run", "--rm", toy.image("two")) == "['shop', '11']\n['a.txt'] a 0\n"

    images = done.json()["images"]
    again = toy.done("bake", "--json", env=SECRET)
    assert again.json()["images"] == images
    toy.file("web/README.md", "not sent")
    afresh = toy.done("bake", "--json", "--set", "*.no-cache=true", env=SECRET)
    assert afresh.json()["images"] == images

    toy.file("web/src/page.html", "other\n")
    toy.done("bake", env=SECRET)
    assert "['other', 'shop', '11'] 4" in docker("run", "--rm", toy.image("one"))


def test_an_edit_of_code_builds_no_stage_again(toy: Toy) -> None:
    write(toy)
    toy.done("bake", "one", env=SECRET)
    toy.file("one/app.py", "print('edited')")
    done = toy.done("bake", "one", env=SECRET)
    assert "copy-files" not in done.stderr and "mkdir -m 700" not in done.stderr, done.stderr
    assert docker("run", "--rm", toy.image("one")) == "edited\n"


REFUSED: dict[str, tuple[dict[str, str], tuple[str, ...], str]] = {
    "no secret": (
        {", secrets: [token]}": "}", "    secrets: {token: {env: COPY_TOKEN}}\n": ""},
        (),
        "secret token: not found",
    ),
    "no source": ({"source: /work/dist\n": "source: /work/dits\n"}, (), '"/work/dits": not found'),
    "no stage": ({"target: frontend": "target: fronted"}, (), "fronted"),
    "code": (
        {},
        ("one/static/index.html", "one/static/own.html"),
        "the code overlaps with what `copy` brings: /app/static/index.html",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_copied_is_named(case: str, toy: Toy) -> None:
    changes, files, why = REFUSED[case]
    write(toy, changes)
    for name in files:
        toy.file(name, "")
    done = toy.slimbake("bake", "one", env=SECRET)
    assert done.code == 5
    assert why in done.stderr, done.stderr
