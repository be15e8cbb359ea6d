"""Learn: from the log to artifacts."""
