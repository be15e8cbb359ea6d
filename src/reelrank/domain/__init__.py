"""The nouns of a short-video feed. Imports nothing of ours."""
