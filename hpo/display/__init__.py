"""What a person sees while a study runs: lines and bars, in a terminal or a notebook."""
