"""Each service's folder is a root of its own, as /app is in its image; so are the shared libraries'
sources. Where pytest finds slimbake-models, pyproject.toml says.
"""

import sys
from pathlib import Path

_here = Path(__file__).parent
sys.path[:0] = [str(folder) for folder in sorted(_here.iterdir()) if folder.is_dir()]
sys.path[:0] = [str(folder) for folder in sorted(_here.parent.glob("libs/*/src"))]
