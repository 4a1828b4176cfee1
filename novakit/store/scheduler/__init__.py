"""What the scheduler reads to keep its picture current, and the decisions and cells it writes."""
