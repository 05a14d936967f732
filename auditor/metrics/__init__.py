"""What the figures of the report are: pure functions of arrays."""
