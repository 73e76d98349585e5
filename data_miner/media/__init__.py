"""Pixels in, numbers out: probing, exact sampling, measuring and JPEG. No SQL, no Ray."""
