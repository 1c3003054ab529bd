"""Each service's folder is a root of its own, as /app is in its image; so is the shared library's source."""

import sys
from pathlib import Path

_here = Path(__file__).parent
sys.path[:0] = [str(folder) for folder in sorted(_here.iterdir()) if folder.is_dir()]
sys.path.insert(0, str(_here.parent / "libs/atlas-common/src"))
