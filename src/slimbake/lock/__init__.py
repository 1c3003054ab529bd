"""The lock stage: exact, hash-verified contents of each scope, in files made to be committed and
reviewed.
"""
