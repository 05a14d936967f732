"""Part 1 of the paper: training."""
