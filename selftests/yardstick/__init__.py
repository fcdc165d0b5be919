"""Tests of yardstick."""
