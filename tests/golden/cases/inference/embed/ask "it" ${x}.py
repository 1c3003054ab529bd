"""Asks what embeds."""
