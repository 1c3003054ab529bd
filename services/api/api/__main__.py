"""`python -m api`: serve until told to stop."""

from api.app import Settings, build
from atlas_common import settings
from atlas_common.upstream import open_client
from atlas_common.web import serve

PORT = 8000

if __name__ == "__main__":
    serve(build(settings.read(Settings), open_client()), PORT)
