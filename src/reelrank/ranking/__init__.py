"""From hundreds of candidates to one slate."""
