"""Arrays in, arrays out: no clock, no stores."""
