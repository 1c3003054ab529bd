"""Renders every image of a posit-bakery repository, then prints its plan; runs in posit-bakery's
own environment.

Both in one process, on one loaded configuration: its own command line would start, and load, once
for each.
"""

import sys
from pathlib import Path

from posit_bakery.build import bake_plan_json
from posit_bakery.config import BakeryConfig
from posit_bakery.config.settings import BakerySettings
from posit_bakery.targets.selection import select_targets

root = Path(sys.argv[1])
settings = BakerySettings()
config = BakeryConfig.from_context(root, settings)
config.rerender_files(settings.filter)
print(bake_plan_json(config.base_path, select_targets(config, settings)))
