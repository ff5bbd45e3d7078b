"""One file a paper: its `Config`, its objective, its step, its verb."""
