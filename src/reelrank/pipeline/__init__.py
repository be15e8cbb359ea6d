"""The stages every feed is made of, and the one function that runs them."""
