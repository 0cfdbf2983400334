"""The page that tells how the model has learned."""
