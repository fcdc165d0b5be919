"""Fetching a release: whole or not at all, under its own name, without telling its link."""
