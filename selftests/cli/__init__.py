"""The commands: what they answer people and programs, and how they refuse."""
