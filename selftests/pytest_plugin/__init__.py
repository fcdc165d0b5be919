"""Tests of pytest_plugin."""
