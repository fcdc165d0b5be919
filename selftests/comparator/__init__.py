"""What a test holds a stage with: declared, compared, judged, failed."""
