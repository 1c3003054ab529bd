"""Exports a text model as an ONNX graph, and writes the answers that parity compares it with.

slimbake packs this folder as `export.pyz` for builds that have `inference: onnx`, and imports none
of it. The modules import the standard library and each other; torch and its neighbours only in
functions, so that a fault of the model's folder is reported before they load.
"""
