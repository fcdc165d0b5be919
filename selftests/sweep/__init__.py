"""A pass over the blocks says how far it has come, on a terminal and elsewhere."""
