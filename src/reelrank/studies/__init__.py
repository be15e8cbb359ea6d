"""What `evaluate` runs: public data sets, peers, protocols."""
