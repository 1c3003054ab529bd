"""`python -m hybrid`: load the model, then serve until told to stop."""

from atlas_common.signals import end_on_signals

PORT = 8004

if __name__ == "__main__":
    end_on_signals()  # before all that takes time to load

    from atlas_common import settings
    from atlas_common.web import serve
    from hybrid.app import Settings, build
    from slimbake_models import load

    read = settings.read(Settings)
    serve(build(load(read.weights), read.storage_url), PORT)
