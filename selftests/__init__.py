"""Tests of the suite itself: does the instrument measure right?"""
