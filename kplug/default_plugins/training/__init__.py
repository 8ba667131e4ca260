"""Samplers, schedules, strategies and callbacks: what a training is set up with."""
