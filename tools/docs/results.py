"""Writes docs/results.md; with --check, says whether it is fresh. bench/README.md has the words for
people.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tools.docs.command import main

if __name__ == "__main__":
    sys.exit(main())
