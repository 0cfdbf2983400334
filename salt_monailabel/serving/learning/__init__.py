"""Learning from labels while the server answers: the task, the process it runs in, and the routes to it."""
