"""What parity means: the vocabulary (numpy only) and, beside it, the layered tests."""
