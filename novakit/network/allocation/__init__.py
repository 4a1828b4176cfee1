"""Which addresses ports get, and the writing of new ports."""
