"""How well metrics follow machines, or people."""
