"""Trials of a spec: asked for, trained beside each other, told."""
