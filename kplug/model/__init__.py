"""One compiled Keras model: built, frozen, loaded, counted, and taken from another run."""
