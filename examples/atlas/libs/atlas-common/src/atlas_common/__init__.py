"""What the atlas services share: settings, logging, error bodies, calls to one another."""
