"""Judge a version by the tests that its family declares; no Spark, and models only where a test asks for them."""
