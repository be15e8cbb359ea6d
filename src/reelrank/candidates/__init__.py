"""Recall: from millions of videos to hundreds of candidates."""
