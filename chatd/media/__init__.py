"""Scaling pictures in a process of its own, with limits on pixels, memory and time."""
