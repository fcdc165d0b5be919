"""Each stage's converter and runtime: what is shown at its taps is what it computes."""
