"""storage: documents and their vectors in one SQLite file."""
