"""Runs and searches on disk: files are there whole or not at all. Free of TensorFlow."""
