"""The way from a spec to a finished run."""
