"""Cargo lists and what is said about them at the quay."""
