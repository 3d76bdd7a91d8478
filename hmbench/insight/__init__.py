"""What a method costs and what it retrieves."""
