"""The offline sample: rendered films of building interiors with exact truth, and two tiny models for them."""
