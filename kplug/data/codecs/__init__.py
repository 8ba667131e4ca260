"""The reading of the built-in features' fields: pictures are decoded, resized and rounded."""
