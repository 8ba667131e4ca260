"""What a spec's `search` may say: ranges, first points, objectives. Free of TensorFlow."""
