"""Every deliberate mistake is found at the tap where it was made, and nothing else is."""
