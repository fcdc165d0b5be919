"""Mutation testing of what judges: a mistake put into it is to fail one of the suite's own tests."""
