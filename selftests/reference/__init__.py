"""The reference, and what is left of it where it travels."""
