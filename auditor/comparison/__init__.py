"""Versions of a model side by side: what became worse, what better, and how sure that is."""
