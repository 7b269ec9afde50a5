"""The scale that makes one lmbda mean one rate, whatever the distortion."""
