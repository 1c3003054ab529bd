"""`python -m embedding`: load the model, then serve until told to stop."""

from atlas_common import settings
from atlas_common.web import serve
from embedding.app import Settings, build
from embedding.model import MiniLM

PORT = 8001

if __name__ == "__main__":
    serve(build(MiniLM(settings.read(Settings).weights)), PORT)
