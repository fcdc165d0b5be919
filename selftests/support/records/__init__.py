"""Recorded runs, measurements and matrices that pages and readers are tried on."""
