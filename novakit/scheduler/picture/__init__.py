"""What is known of the hosts: one table of columns, loaded once and then kept current row by row."""
