"""Which value of a graph is which tap."""
