"""What is in images: what their layers weigh and hold, and what grew."""
