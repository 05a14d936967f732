"""From a plan to outcomes: every attack on every image, in batches."""
