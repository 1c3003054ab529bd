"""How long `slimbake init` takes, as a whole process, in repositories of many services.

bench/README.md has the words for people.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import tables
from bench.timed import FailedError, run, say

SIZES = (10, 100, 500)
LIMIT = 300.0
# Requirements come in handfuls from these, as in a fleet that grew.
PACKAGES = (
    *("fastapi", "uvicorn", "httpx", "pydantic>=2", "sqlalchemy>=2,<3", "alembic", "redis>=5"),
    *(
        "celery>=5.4",
        "numpy",
        "pandas>=2",
        "scikit-learn",
        "boto3",
        "structlog",
        "prometheus-client",
    ),
    *("jinja2", "orjson", "tenacity", "python-dateutil", "pyyaml", "requests"),
)
DOCKERFILE = """\
FROM python:3.11-slim
ENV PYTHONUNBUFFERED=1 LOG_LEVEL=info
RUN apt-get update && apt-get install -y --no-install-recommends libpq5 curl \\
    && rm -rf /var/lib/apt/lists/*
WORKDIR /srv
COPY {folder}/requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt
COPY {folder} .
EXPOSE 8000
HEALTHCHECK CMD curl -f http://localhost:8000/health || exit 1
CMD uvicorn {package}.main:app --host 0.0.0.0 --port ${{PORT:-8000}}
"""
COMPOSE = """\
  {name}:
    build: {{context: ., dockerfile: {folder}/Dockerfile}}
    environment: {{DATABASE_URL: "postgres://a:b@db/{name}", MODE: "${{MODE:-fast}}"}}
    ports: ["{port}:8000"]
    depends_on: [db]
"""


def main() -> int:
    """Measure, print the table, write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("sizes", nargs="*", type=int, default=SIZES, help="services [10 100 500]")
    parser.add_argument("--runs", type=int, default=5, help="runs of each size [%(default)s]")
    arguments = parser.parse_args()
    rows, results = [], []
    for size in arguments.sizes:
        with tempfile.TemporaryDirectory(prefix="slimbake-bench-") as folder:
            written(Path(folder), size)
            command = [sys.executable, "-m", "slimbake", "init", "--dry-run"]
            try:
                found = [run(command, Path(folder), limit=LIMIT) for _ in range(arguments.runs)]
            except FailedError as error:
                say(str(error))
                return 5
        seconds = [done.seconds for done in found if done]
        if len(seconds) < len(found):
            say(f"{size} services: not done within {LIMIT:g} s")
            return 5
        rows.append([str(size), f"{statistics.median(seconds):.2f}", f"{max(seconds):.2f}"])
        results.append({"services": size, "seconds": seconds})
    print(tables.markdown("`slimbake init`", ("services", "median, s", "slowest, s"), rows))
    say(f"all numbers: {tables.save('init', {'sizes': results})}")
    return 0


def written(root: Path, size: int) -> None:
    """A made-up repository: services with a Dockerfile each, and one compose file."""
    chosen = random.Random(size)  # noqa: S311 - the same repository every time
    services = []
    for number in range(size):
        name, package = f"service-{number}", f"service_{number}"
        folder = root / "services" / name
        (folder / package).mkdir(parents=True)
        code = "from fastapi import FastAPI\n\napp = FastAPI()\n"
        (folder / package / "main.py").write_text(code)
        for other in range(20):
            (folder / package / f"module_{other}.py").write_text("VALUE = 1\n")
        wanted = PACKAGES[:2] + tuple(chosen.sample(PACKAGES[2:], chosen.randint(1, 8)))
        (folder / "requirements.txt").write_text("\n".join(wanted) + "\n")
        where = f"services/{name}"
        (folder / "Dockerfile").write_text(DOCKERFILE.format(folder=where, package=package))
        services.append(COMPOSE.format(name=name, folder=where, port=10_000 + number))
    more = "  db: {image: 'postgres:16'}\n"
    (root / "compose.yaml").write_text("services:\n" + "".join(services) + more)


if __name__ == "__main__":
    sys.exit(main())
