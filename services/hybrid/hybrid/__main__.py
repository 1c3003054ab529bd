"""`python -m hybrid`: load the model, then serve until told to stop."""

from atlas_common import settings
from atlas_common.web import serve
from hybrid.app import Settings, build
from hybrid.model import MiniLM

PORT = 8004

if __name__ == "__main__":
    read = settings.read(Settings)
    serve(build(MiniLM(read.weights), read.storage_url), PORT)
