"""bulk-ingester: a job that brings a file of JSON lines into storage, batch by batch."""
