"""What is left to do about a fleet's bytes, by what was measured and proven: see
`slimbake.advise.advice`.
"""
