"""The For You feed of a short-video app: events in, a personal feed out, learning while people watch."""

__version__ = "0.1.0"
