"""Hostile and damaged files: refused in one paragraph, nothing run, nothing written, nothing lost.

Every case goes through a real command in a room that is watched: see ``support.hostile``. What is odd
and yet sound gives the right result.
"""
