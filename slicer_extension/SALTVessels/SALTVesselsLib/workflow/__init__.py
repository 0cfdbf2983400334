"""What the panel's buttons do: no Qt, so that all of it can be tested with a scene and a server.

Each module is one section of the panel. What they share is the `Context`; what they need of the application comes in
through small interfaces.
"""
