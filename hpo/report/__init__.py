"""The results of a study: its trials as a table, figures, and a report page."""
