"""Honest orders of computation: each is what it says, and none is taken for a fault."""
