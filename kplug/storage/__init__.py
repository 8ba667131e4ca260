"""What is kept on disk, whole or not at all: runs and searches. Free of TensorFlow."""
