"""What changed in the tables, release by release."""
