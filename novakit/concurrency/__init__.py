"""Working side by side: asks gathered into one, long work in turns, foreign code in a thread of its own, locks."""
