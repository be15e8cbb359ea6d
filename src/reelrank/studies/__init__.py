"""What `reelrank evaluate` runs: public data sets, peers and protocols."""
