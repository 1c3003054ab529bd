"""`python -m api`: serve until told to stop."""

from atlas_common.signals import end_on_signals

PORT = 8000

if __name__ == "__main__":
    end_on_signals()  # before all that takes time to load

    from api.app import Settings, build
    from atlas_common import settings
    from atlas_common.upstream import open_client
    from atlas_common.web import serve

    serve(build(settings.read(Settings), open_client()), PORT)
