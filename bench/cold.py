"""What the first use of cold code costs, beside the same image without optimisation and without bytecode.
bench/README.md has the words for people.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

from slimbake.host.files import checkout
from slimbake.warm.why import cold_modules

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results" / "cold.json"

CASES = {
    "import sympy": ("embedding", "import sympy"),
    "transformers.pipeline()": (
        "embedding",
        "from transformers import pipeline\n"
        "pipe = pipeline('feature-extraction', model='/weights')\n"
        "assert len(pipe('a cold start')[0][0]) == 384",
    ),
    "torch.compile": (
        "embedding",
        "import torch\n"
        "twice = torch.compile(lambda x: x * 2, backend='aot_eager')\n"
        "assert twice(torch.ones(3)).sum() == 6",
    ),
    "CORS in a running app": (
        "api",
        "import asyncio\n"
        "import fastapi, httpx\n"
        "from fastapi.middleware.cors import CORSMiddleware\n"
        "app = fastapi.FastAPI()\n"
        "app.add_middleware(CORSMiddleware, allow_origins=['*'])\n"
        "asks = {'origin': 'http://a', 'access-control-request-method': 'GET'}\n"
        "async def ask():\n"
        "    transport = httpx.ASGITransport(app)\n"
        "    async with httpx.AsyncClient(transport=transport, base_url='http://a') as client:\n"
        "        return await client.options('/', headers=asks)\n"
        "assert asyncio.run(ask()).status_code == 200",
    ),
}
"""What is used for the first time: service, code. It runs in a process that has imported the service's
own module, as a worker has."""

_WORKER = """
import importlib, json, resource, sys, time
warm, code = json.loads(sys.argv[1])
for name in warm:
    importlib.import_module(name)
def resident():
    with open('/proc/self/statm') as file:
        return int(file.read().split()[1]) * resource.getpagesize()
began = time.perf_counter()
exec(code, {})
took = time.perf_counter() - began
print(json.dumps({"seconds": took, "resident": resident()}))
"""
KEYS = ("seconds", "resident")
WARM = {"embedding": ("torch", "transformers"), "api": ("fastapi", "uvicorn", "httpx")}

_MODULE = """
import importlib, importlib.util, json, os, sys, time
times = []
for name in json.loads(sys.argv[1]):
    try:
        importlib.import_module(name.rpartition('.')[0] or 'sys')
    except ImportError:  # of something that is not installed
        continue
    began = time.perf_counter()
    spec = importlib.util.find_spec(name)
    spec.loader.get_code(name)
    took = time.perf_counter() - began
    if not os.path.exists(spec.cached):  # its source alone is cold
        times.append(took)
print(json.dumps(times))
"""
SIZES = range(45_000, 55_000)  # bytes of source of "a cold module of 50 kB"
MODULES = 40  # about half of them have bytecode, and are left out


def inside(image: str, code: str, *words: str, bytecode: bool = True) -> Any:
    """The last line that code prints in an image: read-only, no network, not as root."""
    said = subprocess.check_output(
        (
            "docker",
            "run",
            "--rm",
            "--network=none",
            "--read-only",
            "--user=65532:65532",
            "--tmpfs=/tmp",
            "--env=PYTHONDONTWRITEBYTECODE=1",
            *(() if bytecode else ("--env=PYTHONPYCACHEPREFIX=/nowhere",)),
            "--entrypoint=python",
            image,
            "-c",
            code,
            *words,
        ),
        text=True,
    )
    return json.loads(said.splitlines()[-1])


def side(image: str, case: str) -> dict[str, float]:
    """Seconds and bytes that a case takes in an image; without optimisation, it has no bytecode."""
    service, code = CASES[case]
    given = json.dumps([WARM[service], code])
    return dict(inside(image, _WORKER, given, bytecode=":bare" not in image))


def modules(image: str) -> list[float]:
    """Seconds to find, decompress and compile each of some cold modules, each in a process of its
    own that has imported its package.
    """
    names = [
        path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for path, content in cold_modules(image)
        if len(content) in SIZES and path.endswith(".py")
    ]
    step = max(1, len(names) // MODULES)
    chosen = names[::step][:MODULES]
    return [each for name in chosen for each in inside(image, _MODULE, json.dumps([name]))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--project", default="atlas", help="[default: atlas]")
    parser.add_argument("--root", type=Path, default=ROOT, help="[default: this repository]")
    parser.add_argument("--runs", type=int, default=7, help="[default: 7]")
    arguments = parser.parse_args()
    name, own = f"slimbake/{arguments.project}", checkout(arguments.root)
    found: dict[str, object] = {}
    for case, (service, _) in CASES.items():
        rounds = [
            [side(f"{name}/{service}:{kind}-{own}", case) for kind in ("built", "bare")]
            for _ in range(arguments.runs)
        ]
        found[case] = {
            "cold": {key: median(cold[key] for cold, _ in rounds) for key in KEYS},
            "bare": {key: median(plain[key] for _, plain in rounds) for key in KEYS},
            "ratio": {
                key: median(cold[key] / plain[key] for cold, plain in rounds) for key in KEYS
            },
        }
        print(case, found[case], file=sys.stderr)
    took = modules(f"{name}/embedding:built-{own}")
    found["module of 50 kB"] = {"seconds": median(took), "count": len(took)}
    print(found["module of 50 kB"], file=sys.stderr)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
