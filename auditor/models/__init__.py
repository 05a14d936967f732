"""The model: loading it, what it expects, and the ART estimator that is asked and attacked."""
