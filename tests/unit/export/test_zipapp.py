"""export.pyz: the package of libs/slimbake-export, packed by slimbake."""

import io
import sys
import zipfile
from pathlib import Path

from tests.ran import ran

import slimbake_export
from slimbake.render.generated import export_zipapp


def test_it_holds_every_module_of_the_package_and_what_starts_it() -> None:
    with zipfile.ZipFile(io.BytesIO(export_zipapp())) as archive:
        found = {name: archive.read(name) for name in archive.namelist()}
    del found["__main__.py"]
    folder = Path(slimbake_export.__file__).parent
    files = {f"slimbake_export/{path.name}": path.read_bytes() for path in folder.glob("*.py")}
    assert found == files
    assert {"slimbake_export/model.py", "slimbake_export/reference.py"} < {*found}


def test_slimbake_packs_it_and_does_not_import_it() -> None:
    code = "import slimbake.cli, slimbake.render.generated as g, sys; g.export_zipapp()"
    done = ran([sys.executable, "-c", f"{code}; print('slimbake_export' in sys.modules)"])
    assert done.stdout == "False\n"
