"""Manifest and versions: stage, publish, read back. Knows no Spark."""
