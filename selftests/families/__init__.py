"""Tests of what a model is to the suite."""
