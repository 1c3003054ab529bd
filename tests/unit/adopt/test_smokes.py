"""Smokes that init writes: they import what a command names, and none is written that cannot fail."""

from __future__ import annotations

import ast

from slimbake.adopt.django import makes_handler
from slimbake.adopt.model import Draft, Place, Served
from slimbake.adopt.smokes import is_smoke, runs_on_import, smoke_text


def smoke(*served: Served, command: str = "python x.py", **sources: str) -> str | None:
    draft = Draft(
        name="web",
        origin=(Place("Dockerfile"),),
        entry={"context": ".", "command": command.split()},
        served=served,
    )
    text = smoke_text(draft, {each.module: sources.get(each.module, "") for each in served})
    assert text is None or ast.parse(text)
    return text


def test_what_is_served_is_imported_and_can_be_called() -> None:
    text = smoke(Served("shop.wsgi", "application"))
    assert text is not None
    assert "def imports():\n    import shop.wsgi\n" in text
    assert "from shop.wsgi import application\n\n    assert callable(application)" in text
    assert is_smoke(text)


def test_the_smoke_of_django_s_handler_loads_the_url_conf() -> None:
    made = "import django.core.wsgi as w\napplication = Wrapped(w.get_wsgi_application())\n"
    patterns = "    from django.urls import get_resolver\n\n    list(get_resolver().url_patterns)\n"
    for name in ("application", ""):
        text = smoke(Served("shop", name), shop=made)
        assert text is not None and text.endswith(patterns)
        assert "def load():\n    " + ("from shop" if name else "import shop\n") in text
    worker = smoke(Served("shop", "app"), shop="app = Celery('shop')\n")
    assert worker is not None and "get_resolver" not in worker


def test_a_handler_that_an_import_does_not_make_is_none() -> None:
    assert makes_handler("try:\n    app = get_asgi_application()\nfinally:\n    pass\n")
    assert makes_handler("app = Router({'http': get_asgi_application()})\n")
    for text in (
        "def make():\n    return get_wsgi_application()\n",
        "if DJANGO:\n    app = get_wsgi_application()\n",
        "app = lambda *a: get_wsgi_application()(*a)\n",
        "from django.core.wsgi import get_wsgi_application\n",
        "def :\n",
    ):
        assert not makes_handler(text), text


def test_a_module_of_a_folder_is_looked_for_there() -> None:
    text = smoke(Served("main", "", "src"))
    assert text is not None
    assert 'sys.path.insert(0, "/app/src")' in text


def test_a_script_that_works_when_it_is_imported_is_not_and_what_it_imports_is() -> None:
    script = "import json\nimport httpx\nfrom celery import Celery\n\nwhile True:\n    pass\n"
    text = smoke(Served("job"), job=script)
    assert text is not None
    assert "    import httpx\n    import celery\n" in text
    assert "import job" not in text
    assert smoke(Served("job"), job="while True:\n    pass\n") is None


def test_what_only_starts_another_program_is_none_of_a_package() -> None:
    assert smoke(command="tini -g -- python x.py") is None
    assert smoke(command="tini -g -- litellm --config x") == smoke(command="litellm --config x")


def test_a_program_of_a_package_is_loaded_by_its_entry_point() -> None:
    text = smoke(command="litellm --config x")
    assert text is not None
    assert 'entry_points(group="console_scripts", name="litellm")' in text


def test_what_a_script_does_when_it_is_imported() -> None:
    assert not runs_on_import("app = FastAPI()\napp.include_router(x)\n")
    assert not runs_on_import("if __name__ == '__main__':\n    main()\n")
    assert runs_on_import("main()\n")
    assert runs_on_import("with Server() as server:\n    server.serve_forever()\n")
    assert runs_on_import("try:\n    app.run()\nfinally:\n    pass\n")
    assert not runs_on_import("try:\n    import fast\nexcept ImportError:\n    fast = None\n")
    for call in ("app.run()", "web.run_app(app)", "demo.launch()", "bot.infinity_polling()"):
        assert runs_on_import(f"{call}\n"), call
    assert not runs_on_import("app.router.add_get(x)\nuvloop.install()\n")
    assert runs_on_import("def :\n")


def test_a_page_of_the_program_that_runs_it_is_not_imported() -> None:
    page = "import os, streamlit as st\nfrom streamlit.web import cli\nst.title('A')\n"
    assert runs_on_import(page, "streamlit")
    assert not runs_on_import(page, "uvicorn")
    assert runs_on_import("from bokeh.plotting import curdoc\ncurdoc().add_root(1)\n", "bokeh")
    assert not runs_on_import("from . import log\nlog.setup()\n")
    assert not runs_on_import("import fastapi\napp = fastapi.FastAPI()\n", "fastapi")
    text = smoke(Served("Home"), command="streamlit run Home.py", Home=page)
    assert text is not None and "    import streamlit\n" in text and "import Home" not in text


def test_what_a_smoke_is() -> None:
    assert is_smoke("async def load(): ...\n")
    assert not is_smoke("def other(): ...\n")
    assert not is_smoke("def :\n")
