"""slimbake: one manifest in, a fleet of slim, proven Python ML images out."""

__version__ = "0.1.0"
