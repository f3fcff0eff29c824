"""Workers: they run attempts at trials, in this process or in Ray processes."""
