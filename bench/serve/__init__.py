"""Running containers under load: what is asked of them, how they are started, what they take."""
