"""The nlg service: a prompt in, its continuation out, word by word."""

import os

# Before transformers is imported anywhere: weights come with the image, not from a hub; logs are
# JSON lines.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
