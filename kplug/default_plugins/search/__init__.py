"""Oracles, pruners, executors, and what a search shows."""
