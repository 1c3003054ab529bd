"""A repository that was not written for slimbake: read what is there, and write the manifest."""
