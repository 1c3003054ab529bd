"""What must hold in client's final image: it speaks HTTP and JSON with the standard library alone."""

import contextlib
import io
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer


def imports() -> None:
    """All modules of the client."""
    from client import api, cli, documents, show  # noqa: F401


def load() -> None:
    """Search through a stand-in of the api on loopback, then find it gone."""
    from client.cli import main

    class Api(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["query"]
            body = json.dumps({"hits": [{"id": "a", "text": query, "score": 1.0}]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Api) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        command = ["search", "näher", "--url", f"http://127.0.0.1:{server.server_port}"]
        with contextlib.redirect_stdout(io.StringIO()) as out:
            assert main(command) == 0
        assert out.getvalue() == "  1.0000  a  näher\n", out.getvalue()
    with contextlib.redirect_stderr(io.StringIO()) as told:
        assert main(command) == 3
    assert "refused" in told.getvalue(), told.getvalue()
