"""What runs on workers: walk the groups of a batch, build the matrix, fit, evaluate, encode, isolate.

Arrow in, one outcome per group out. Knows no Spark.
"""
