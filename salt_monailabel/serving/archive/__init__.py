"""A hospital's image archive as the place of the studies."""
