"""What runs on an image: start check, verify, smoke and parity."""
