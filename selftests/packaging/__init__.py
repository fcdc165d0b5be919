"""Tests of what is installed: one import name, beside anybody's own packages; its order inside."""
