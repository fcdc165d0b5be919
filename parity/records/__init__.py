"""What a run writes and how it is read: measurements, the contract, divergences, the run's folder."""
