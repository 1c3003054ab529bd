"""The cold store: compressed Python code that no start needs, out of the way and still importable.

One file per layer, `cold/LAYER.cold` in the prefix. `layout` reads it, `pack` writes it, `select`
and `listed` decide what goes there. `hook` and `serve` lie in the image with `layout`, as the
package `_slimbake_cold`: they import what is cold. See docs/cold-store.md.
"""
