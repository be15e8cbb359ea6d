"""From the page to the log."""
