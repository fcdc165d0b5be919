"""A release is read as it was published, from one file or from shards, or refused in words."""
