"""`python -m storage`: serve until told to stop."""

from atlas_common import settings
from atlas_common.web import serve
from storage.app import Settings, build
from storage.store import Store

PORT = 8002

if __name__ == "__main__":
    serve(build(Store(settings.read(Settings).database)), PORT)
