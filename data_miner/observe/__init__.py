"""What the pipeline says about itself: log lines and metrics."""
