"""The commands, a file for each: settings or arguments -> what a room does. Its docstring is its help."""
