"""`python -m bulk_ingester [FILE|-]`: run the job once."""

import sys

from atlas_common.signals import end_on_signals

if __name__ == "__main__":
    # An exception, as sys.exit raises, is lost where it meets a callback of the import system.
    end_on_signals()

    from bulk_ingester.cli import main  # takes time to load

    sys.exit(main())
