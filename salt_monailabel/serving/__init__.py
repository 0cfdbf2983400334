"""What MONAI Label sees: infer and train tasks, and the server."""
