"""The Python interface: stores, families, models and predictions."""
