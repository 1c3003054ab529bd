"""What optimised images lose: every file, module, entry point, requirement and library, and the outcomes
of calls chosen from documentation, beside the same images without optimisation. bench/README.md has
the words for people.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.counting.images import calls, census, pairs

from slimbake.console import Console
from slimbake.images.measure import measure_images
from slimbake.project import load

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results" / "census.json"
SERVICES = ("embedding", "nlg", "api", "embedding-onnx")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("services", nargs="*", default=SERVICES)
    parser.add_argument("--imports", action="store_true", help="also import modules in both images")
    parser.add_argument("--manifest", type=Path, default=ROOT / "services.yaml")
    parser.add_argument("--record", action="store_true", help=f"write {RESULTS.relative_to(ROOT)}")
    asked = parser.parse_args()
    console, found, lost = Console(), {}, 0
    with pairs(load(asked.manifest.resolve(), console), asked.services, console) as (
        images,
        workspace,
    ):
        for name, pair in images.items():
            each = census(pair, workspace, imports=asked.imports)
            before, after = calls(pair.bare), calls(pair.optimised)
            differ = sorted(call for call in before if before[call] != after.get(call))
            sizes = measure_images(asdict(pair), workspace).images
            found[name] = {
                **{each.name: each.uncompressed for each in sizes},
                "modules": each.modules,
                "found": each.found,
                "files": each.files,
                "lost": list(each.losses),
                "imports": each.imports.tried if each.imports else None,
                "calls": len(before),
                "succeeded": sum(said.startswith("value: ") for said in before.values()),
                "differ": differ,
            }
            lost += len(each.losses) + len(differ)
            print(f"{name}: {each.found:,} of {each.modules:,} modules, {len(each.losses)} losses,")
            print(f"  {len(before) - len(differ):,} of {len(before):,} calls the same")
            for line in (*each.losses[:20], *differ[:20]):
                print(f"  lost: {line}")
    if asked.record:
        RESULTS.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
