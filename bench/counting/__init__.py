"""The census: every file, module, entry point, requirement and library of an image, beside the same
image without optimisation.
"""
