"""The stand-in of the external uv: a folder with the program, of this platform or another."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from pathlib import Path

from slimbake.errors import SetupError
from slimbake.host.files import made_once, state_folder
from slimbake.host.machine import Machine, machine
from slimbake.host.uv import PipCompile, uv_program, uv_version
from slimbake.inside.fetch import FetchError, download, opener


def uv_standin(platform: str = "", here: Machine | None = None) -> Path:
    """A folder that holds `uv` and nothing else, as the image of uv does; made once for each
    version and platform.

    `platform`: another than this machine's, for which the index is asked. Raises SetupError.
    """
    name = "-".join(filter(None, (f"uv-{uv_version()}", platform.replace("/", "-"))))

    def make(folder: Path) -> None:
        if platform:
            _fetch(platform, here or machine(), folder / "uv")
        else:
            shutil.copy(uv_program(), folder / "uv")
        (folder / "uv").chmod(0o755)

    return made_once(state_folder() / name, make)


def _fetch(platform: str, here: Machine, target: Path) -> None:
    """Put uv's program for another platform at `target`: out of its wheel, as the index has it,
    verified by hash.

    Raises SetupError.
    """
    version = uv_version()
    with tempfile.TemporaryDirectory(prefix="slimbake-uv-") as name:
        folder = Path(name)
        found = PipCompile(here, "3.11", platform, folder).locate([("uv", version)], "uv")["uv"][0]
        wheel = folder / found.wheel.file
        packages = here.packages
        try:
            open_ = opener((*packages.extra_index_urls, packages.index_url), here.ca_bundle)
            download(found.url, wheel, found.wheel.sha256, open_)
        except FetchError as error:
            raise SetupError(
                f"a stand-in of uv for {platform}: {error}", "`slimbake doctor` shows the indexes"
            ) from None
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(f"uv-{version}.data/scripts/uv") as packed,
            target.open("wb") as file,
        ):
            shutil.copyfileobj(packed, file)
