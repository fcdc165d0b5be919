"""Inputs: a few words that replay an image batch exactly, and how they are drawn."""
