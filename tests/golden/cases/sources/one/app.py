import tool  # noqa: F401
