"""`python -m slimbake`."""

import sys

from slimbake.cli import main

sys.exit(main())
