"""Answer: the HTTP service and the page."""
