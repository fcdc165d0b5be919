"""Records of a run: written, read back, merged, joined, and where they first depart."""
