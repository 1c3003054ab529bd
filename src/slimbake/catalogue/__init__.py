"""The catalogue: every size optimisation that slimbake knows, as data; what is on is for the
evidence to say.
"""
