"""How the fields of the built-in features are read."""
