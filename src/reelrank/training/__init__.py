"""From examples to artifacts."""
