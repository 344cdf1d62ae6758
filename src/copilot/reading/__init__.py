"""The text of a passage in, in whatever layout; what its entry says out: sentences, steps, notes, rows and terms."""
