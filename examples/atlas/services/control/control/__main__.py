"""`python -m control`: serve until told to stop."""

from atlas_common.signals import end_on_signals

PORT = 8005

if __name__ == "__main__":
    end_on_signals()  # before all that takes time to load

    from atlas_common import settings
    from atlas_common.upstream import open_client
    from atlas_common.web import serve
    from control.app import Settings, build
    from control.checks import parse

    serve(build(parse(settings.read(Settings).services), open_client()), PORT)
