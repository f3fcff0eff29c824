"""Data: read from files or OpenML, split, scaled, and prepared again for predictions."""
