"""What `bench` and `replay` run: one claim, one number, one file."""
