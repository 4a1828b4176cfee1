"""From a request to the hosts that fit and the best of them: filters, weighers, and the record of what they did."""
