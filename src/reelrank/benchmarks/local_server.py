"""What the servers that tests and measurements start for themselves have in common."""


class ServerMissing(Exception):
    """The server is not installed; the message says how to get it."""
