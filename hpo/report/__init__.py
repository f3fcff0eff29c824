"""What a study came to: its trials as a table, and its figures."""
