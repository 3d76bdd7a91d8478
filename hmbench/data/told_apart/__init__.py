"""Subjects told apart where the data have one mask for all of them."""
