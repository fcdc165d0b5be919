"""Tests of what a file returns: its forms, and how one is recognised."""
