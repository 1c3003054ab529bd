"""Services with a Dockerfile of their own: on any base image, with any user, with or without
Python, beside services of slimbake's.
"""

from __future__ import annotations

import pytest
from tests.engine.conftest import Toy, inspected
from tests.engine.toys import held, text_of
from tools.bare.images import python_image

MANIFEST = text_of("own-dockerfiles.yaml")
USER = """
import os, pathlib
def load():
    import foreign
    assert (os.getuid(), os.getgid(), os.environ["HOME"]) == (1234, 1235, "/home/app")
    pathlib.Path("/tmp/a").write_text("kept")
    try:
        pathlib.Path("/home/app/a").write_text("lost")
    except OSError:
        return
    raise AssertionError("the home can be written")
"""
SERVER = (
    "use IO::Socket::INET; "
    "my $s = IO::Socket::INET->new(Listen => 5, LocalPort => 8002, ReuseAddr => 1) or die; "
    "while (my $c = $s->accept) { close $c }"
)
FILES = {
    "app/app.py": "print(1)",
    "app/smoke.py": "def imports():\n    import app\n",
    "foreign/foreign.py": "",
    "foreign/smoke.py": USER,
    "foreign/Dockerfile": "FROM debian\n"
    "RUN echo app:x:1234:1235::/home/app:/bin/sh >> /etc/passwd \\\n"
    " && mkdir /home/app && chown 1234:1235 /home/app\n"
    "COPY foreign.py /srv/\nENV PYTHONPATH=/srv\nUSER app\n"
    'CMD ["python3", "-m", "http.server", "8001"]\n',
    "rooted/smoke.py": "import os\ndef load():\n    assert os.getuid() == 0\n",
    "rooted/Dockerfile": 'FROM debian\nCMD ["python3", "-c", "print(1)"]\n',
    "perl/Dockerfile": "FROM debian\nRUN rm -f /usr/local/bin/python* /usr/bin/python3*\n"
    f'ENTRYPOINT ["perl"]\nCMD ["-e", "{SERVER}"]\n',
    "bare/Dockerfile": "FROM scratch\nCOPY text /\n",
    "bare/text": "no shell",
    "none/Dockerfile": "FROM debian\nRUN rm -f /usr/local/bin/python* /usr/bin/python3*\n"
    'CMD ["nowhere"]\n',
}
GOOD = ("ours", "foreign", "rooted", "perl", "ends")
BAD = {
    "deaf": "deaf: its command does not listen on port 8003 but on 8002",
    "dies": "dies: its command ended with exit code",
    "none": "none: its command cannot be run",
}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def toy(shared_toy: Toy) -> Toy:
    image = python_image("3.11")
    shared_toy.write(MANIFEST.replace("IMAGE", image), FILES)
    return shared_toy


def test_any_base_image_bakes_in_the_same_fleet(toy: Toy) -> None:
    done = toy.done("bake", *GOOD, "--json")
    images = done.json()["images"]
    checks = {name: (images[name]["checks"], images[name]["unchecked"]) for name in GOOD}
    assert checks == {
        "ours": (["start", "smoke"], []),
        "foreign": (["start", "smoke"], []),
        "rooted": (["start", "smoke"], []),
        "perl": (["engine-start"], ["smoke"]),
        "ends": (["engine-start"], ["smoke"]),
    }
    assert inspected(toy.image("foreign"), ".Config.User") == "app"
    again = toy.slimbake("bake", "perl").stdout
    assert "engine-start (no smoke)" in again, "what held is known by its own name"


def test_debug_runs_what_their_images_have_as_their_own_user(toy: Toy) -> None:
    done = toy.slimbake("debug", "foreign", stdin="id -u; echo $HOME; exit 3\n")
    assert (done.code, done.stdout) == (3, "1234\n/home/app\n"), done.stderr
    done = toy.slimbake("debug", "perl", "perl", "-e", "print 1 + 1")
    assert (done.code, done.stdout) == (0, "2"), done.stderr
    done = toy.slimbake("debug", "bare")
    assert done.code == 7
    assert "slimbake: the image of bare has no shell" in done.stderr
    assert "`slimbake debug bare PROGRAM ARGUMENT...`" in done.stderr


def test_without_python_an_image_that_does_not_start_gets_no_tag_either(toy: Toy) -> None:
    done = toy.slimbake("bake", *BAD)
    assert done.code == 6, done.stderr
    for name, why in BAD.items():
        assert not held(toy.image(name)), name
        assert why in done.stderr, done.stderr
    assert "no DATABASE" in done.stderr


def test_a_smoke_without_python_says_what_it_needs(toy: Toy) -> None:
    toy.file("perl/smoke.py", "def load():\n    pass\n")
    text = toy.edit("port: 8003", "port: 8003, smoke: smoke.py")
    done = toy.slimbake("bake", "deaf")
    toy.file("services.yaml", text)
    assert done.code == 6, done.stderr
    assert "install python3 there, or remove `smoke`" in done.stderr
