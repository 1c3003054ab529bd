"""The lock stage: exact, hash-verified contents of each layer, in files made to be committed and
reviewed.
"""
