"""What metrics can see: clips with one known fault, and how every metric answers to them."""
