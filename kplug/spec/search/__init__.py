"""The words of a spec's `search`: ranges, first points, objectives. Free of TensorFlow."""
