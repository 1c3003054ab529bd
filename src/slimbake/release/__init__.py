"""Builds images, runs their checks, and only then tags and pushes them."""
