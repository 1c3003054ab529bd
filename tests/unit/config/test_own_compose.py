"""The repository's own compose file, as far as the manifest's reader needs it."""

from pathlib import Path

from slimbake.config import manifest
from slimbake.config.compose import defined

FLEET = """project: toys
python: "3.11"
services:
  web: {command: [python, -m, http.server], start: {with: [db]}}
"""


def test_the_tags_of_compose_are_read() -> None:
    text = (
        "services:\n  db: {image: postgres, ports: !reset [], command: !override [a]}\n"
        "  web: {build: .}\n  old: !reset null\n"
    )
    found = defined("compose.yaml", text)
    assert found.services == {"db", "web", "old"}
    assert found.built == {"web"}


def test_services_of_compose_that_the_manifest_has_start_from_it(tmp_path: Path) -> None:
    file = tmp_path / "services.yaml"
    file.write_text(
        FLEET.replace("[db]", "[db, mail_v2]") + "  mail-v2: {command: [python, -m, http.server]}\n"
    )
    (tmp_path / "compose.yaml").write_text(
        "services: {db: {image: postgres}, mail_v2: {build: mail}}\n"
    )
    start = manifest(file).services[0].start
    assert start and (start.beside, start.fleet) == (("db",), ("mail-v2",))
    (tmp_path / "compose.yaml").unlink()
    file.write_text(file.read_text().replace("[db, ", "["))
    start = manifest(file).services[0].start
    assert start and (start.beside, start.fleet) == ((), ("mail-v2",))
