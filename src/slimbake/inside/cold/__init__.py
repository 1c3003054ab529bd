"""The cold store: compressed Python code that no start needs, out of the way and still importable.

One file per layer, `cold/LAYER.cold` in the prefix. `layout` reads it, `pack` writes it, `select`
and `paths` decide what goes there. `hook`, `layout` and `resources` lie in the image as the package
`_slimbake_cold`: they import what is cold. See docs/cold-store.md.
"""
