"""`python -m bulk_ingester [FILE|-]`: run the job once."""

import signal
import sys

if __name__ == "__main__":
    # As process 1 of a container, signals without a handler would be ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda caught, _: sys.exit(128 + caught))

    from bulk_ingester.cli import main  # takes time to load

    sys.exit(main())
