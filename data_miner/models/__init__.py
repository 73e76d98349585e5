"""Models behind two small protocols; alone in importing torch, ultralytics and transformers, and lazily."""
