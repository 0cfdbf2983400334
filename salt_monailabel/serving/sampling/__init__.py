"""Which image is labelled next, and by whom."""
