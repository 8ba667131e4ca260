"""The promise of each kind as code."""
