"""What a run writes down, and how it is read: measurements, the contract, divergences, the run's folder."""
