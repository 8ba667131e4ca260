"""The way from a source to batches, whatever the fields of an example are."""
