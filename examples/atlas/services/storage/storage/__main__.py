"""`python -m storage`: serve until told to stop."""

from atlas_common.signals import end_on_signals

PORT = 8002

if __name__ == "__main__":
    end_on_signals()  # before all that takes time to load

    from atlas_common import settings
    from atlas_common.web import serve
    from storage.app import Settings, build
    from storage.store import Store

    serve(build(Store(settings.read(Settings).database)), PORT)
