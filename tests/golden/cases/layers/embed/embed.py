NAME = "embed"
