"""`python -m reelrank.cli` is `reelrank`."""

from reelrank.cli import main

main()
