"""The prove stage: what each pass saves and whether everything still works without what it removes."""
