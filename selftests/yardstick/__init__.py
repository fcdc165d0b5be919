"""The yardstick: what is measured against the floor, how often it errs, and what slips under it."""
