"""The suite as a plugin of pytest: what is selected, and how a test's outcome is told."""
