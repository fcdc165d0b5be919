"""What is drawn on the pages, from records."""
