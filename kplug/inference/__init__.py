"""What a finished run answers: metrics, predictions, an export."""
