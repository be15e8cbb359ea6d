"""How good is it? Pure functions over arrays."""
