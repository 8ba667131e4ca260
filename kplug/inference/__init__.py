"""The answers of a finished run: metrics, predictions, an export."""
