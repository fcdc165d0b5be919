"""What runs a file: each session in a process of its own."""
