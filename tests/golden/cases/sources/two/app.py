import docopt  # noqa: F401
