"""What a file returns: the forms in which users have DINOv3's results, and how one is recognised.

``forms`` has each form as a function of all tokens, ``recognition`` finds which an array is, by its
numbers, and ``pieces`` holds it against the truth. NumPy alone.
"""
