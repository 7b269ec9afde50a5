"""Training: the codecs' module and callbacks, and the demo networks."""
