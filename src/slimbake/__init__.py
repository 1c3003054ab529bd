"""slimbake: one manifest in, small, checked Docker images of Python services out."""

__version__ = "0.1.0"
