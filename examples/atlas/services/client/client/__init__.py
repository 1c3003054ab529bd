"""client: atlas on the command line; needs nothing but the standard library."""
