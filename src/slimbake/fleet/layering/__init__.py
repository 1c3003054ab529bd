"""The layer planner: which items of a fleet lie in which layers, in which order. docs/layers.md has
the words for people.
"""
