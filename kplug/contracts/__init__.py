"""What each kind promises, as code."""
