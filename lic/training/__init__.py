"""Training: the codecs' module, optimisers, callbacks and runs."""
