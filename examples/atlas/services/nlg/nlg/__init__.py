"""The nlg service: a prompt in, its continuation out, word by word."""
