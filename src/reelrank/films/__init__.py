"""Draws the clips of the demo: a theme, a tune and a motion for every tag."""
