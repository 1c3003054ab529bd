"""An entrypoint script as other repositories have it, in an image with `shell: true`."""

from __future__ import annotations

import pytest
from tests.engine.conftest import Toy, call, docker

pytestmark = pytest.mark.slow

SCRIPT = """\
#!/bin/sh
set -e
if [ "$1" = app ]; then
    shift
    echo "before $(basename /a/b) $*"
    set -- python -m app "$@"
fi
exec "$@"
"""


def test_an_entrypoint_script_runs_as_it_is_and_other_images_have_no_shell(toy: Toy) -> None:
    toy.write(
        "services:\n"
        "  one: {context: one, shell: true, entrypoint: [/app/docker-entrypoint.sh],"
        " command: [app, words]}\n"
        "  two: {context: two, command: [python, -m, app]}\n",
        {
            "one/app.py": f"import sys\nprint('one', *sys.argv[1:])  # {toy.project}\n",
            "one/docker-entrypoint.sh": SCRIPT,
            "two/app.py": f"print('two')  # {toy.project}\n",
        },
    )
    (toy.root / "one/docker-entrypoint.sh").chmod(0o755)
    toy.done("bake")
    assert docker("run", "--rm", toy.image("one")) == "before b words\none words\n"
    assert docker("run", "--rm", toy.image("one"), "ls", "/app") == (
        "__pycache__\napp.py\ndocker-entrypoint.sh\n"
    )
    assert call("docker", "run", "--rm", toy.image("two"), "sh").code == 127, "it has no shell"
