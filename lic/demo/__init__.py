"""The embedded world: drawn scenes, the small networks for it, and how these are trained; an island."""
