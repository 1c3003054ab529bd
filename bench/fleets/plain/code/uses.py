"""Uses packages that look for their own files, and prints what came of it as JSON."""

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

FRAME = re.compile(r'  File "(.+)", line (\d+), in .+\n    (.+)\n')
FAILS = "import librosa; librosa.util.valid_audio('no audio')"


def feature() -> list[float]:
    """librosa: numba's `cache=True` looks for the source of each function."""
    import librosa
    import numpy

    sound = numpy.sin(numpy.linspace(0, 440 * 2 * numpy.pi, 22050)).astype("float32")
    coefficients = librosa.feature.mfcc(y=sound, sr=22050, n_mfcc=5)
    beats, _ = librosa.beat.beat_track(y=sound, sr=22050)
    return [round(float(value), 2) for value in (*coefficients.mean(axis=1), *numpy.ravel(beats))]


def projection() -> list[int]:
    """umap-learn, and pynndescent below it."""
    import numpy
    import umap

    points = numpy.random.default_rng(1).normal(size=(100, 8))
    placed = umap.UMAP(n_neighbors=5, random_state=1, n_jobs=1).fit_transform(points)
    assert numpy.isfinite(placed).all()
    return list(placed.shape)


def canvas() -> int:
    import datashader
    import pandas

    table = pandas.DataFrame({"x": range(100), "y": range(100)})
    return int(datashader.Canvas(10, 10).points(table, "x", "y").sum())


def plugins() -> list[str]:
    """apprise lists its folder of plugins."""
    import apprise

    return sorted(str(plugin["service_name"]) for plugin in apprise.Apprise().details()["schemas"])


def traceback() -> list[str]:
    """The lines that an uncaught exception shows, each compared with its file."""
    done = subprocess.run([sys.executable, "-c", FAILS], capture_output=True, text=True)
    return list(shown(done.stderr))


def shown(text: str) -> Iterator[str]:
    for file, number, line in FRAME.findall(text):
        written = Path(file).read_text().splitlines()[int(number) - 1].strip()
        assert line == written, f"{file}:{number} is shown as {line}, and is {written}"
        yield f"{file}:{number}: {line}"


USES: tuple[Callable[[], object], ...] = (feature, projection, canvas, plugins, traceback)


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    found = {}
    for use in USES:
        try:
            found[use.__name__] = use()
        except Exception as error:
            found[use.__name__] = f"{type(error).__name__}: {error}"
    print(json.dumps(found))


if __name__ == "__main__":
    main()
