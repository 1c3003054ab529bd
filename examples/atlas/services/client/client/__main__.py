"""`python -m client ingest FILE | search QUERY | ask QUESTION | status`."""

import signal
import sys

from client.cli import main

if __name__ == "__main__":
    # As process 1 of a container, signals without a handler would be ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda caught, _: sys.exit(128 + caught))
    sys.exit(main())
