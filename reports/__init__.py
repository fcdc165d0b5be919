"""Measurements in, reports out. Reads what a run recorded; imports neither tests nor stages."""
