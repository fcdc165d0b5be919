"""An input is replayed exactly by the one line that names it."""
