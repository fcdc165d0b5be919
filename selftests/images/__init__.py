"""A photograph from anywhere becomes what Meta's transform makes of it, or an error says why not."""
