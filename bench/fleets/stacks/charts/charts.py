"""Draws a chart, and answers with it."""

import io
from http.server import BaseHTTPRequestHandler, HTTPServer

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot


def drawn() -> bytes:
    figure, axes = pyplot.subplots()
    axes.plot(range(10), [number**2 for number in range(10)])
    axes.set_title("squares")
    file = io.BytesIO()
    figure.savefig(file, format="png")
    pyplot.close(figure)
    return file.getvalue()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(drawn())


if __name__ == "__main__":
    drawn()
    HTTPServer(("", 8000), Handler).serve_forever()
