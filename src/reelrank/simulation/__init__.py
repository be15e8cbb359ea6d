"""The loop without people: a made-up world, its films, and simulated people who watch over the same API as the page."""
