"""`python -m embedding`: load the model, then serve until told to stop."""

from atlas_common.signals import end_on_signals

PORT = 8001

if __name__ == "__main__":
    end_on_signals()  # before all that takes time to load

    from atlas_common import settings
    from atlas_common.web import serve
    from embedding.app import Settings, build
    from slimbake_models import load

    serve(build(load(settings.read(Settings).weights)), PORT)
