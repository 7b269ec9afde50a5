"""Is a distortion a good loss?"""
