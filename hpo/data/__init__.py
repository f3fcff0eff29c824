"""Data: read from files or OpenML, split, scaled, and made ready again for predictions."""
