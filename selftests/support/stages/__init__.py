"""Stages that are not the suite's own: known by a record alone, brought by users, of other packages."""
