"""Where `slimbake` and `python -m slimbake` begin."""

import sys


def main() -> int:
    """Run the command line; its exit code. Windows lacks what all of it needs."""
    if sys.platform == "win32":
        sys.stderr.write("slimbake: on Windows, install slimbake in WSL 2 and run it there\n")
        return 7  # errors.SETUP
    from slimbake.cli import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
