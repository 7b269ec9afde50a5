"""Commands that bring several rooms together."""
