"""Faults of the machine: killed, crowded, starved of space, of locks, of the folder itself.

What a store hands out is whole, or one paragraph says what to do. Nothing here asserts how long
something takes. The real converters run, on a model of three small blocks; see ``support.machine``.
"""
