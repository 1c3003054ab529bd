"""Asks what ranks."""
