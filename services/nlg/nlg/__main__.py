"""`python -m nlg`: load the model, then serve until told to stop."""

from atlas_common import settings
from atlas_common.web import serve
from nlg.app import Settings, build
from nlg.model import CausalModel

PORT = 8003

if __name__ == "__main__":
    read = settings.read(Settings)
    serve(build(CausalModel(read.weights, read.dtype)), PORT)
