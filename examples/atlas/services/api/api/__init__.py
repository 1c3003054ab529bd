"""api: the gateway of atlas - ingest, search, ask."""
