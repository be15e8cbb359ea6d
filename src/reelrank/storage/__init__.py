"""Where bytes rest. One contract per file; its backends sort right below it."""
