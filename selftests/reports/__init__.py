"""What a run is told by: pages, texts, charts and verdicts, on runs real and made up."""
