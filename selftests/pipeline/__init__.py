"""Blocks one at a time, and tests that travel together, measure what whole models and lone tests do."""
