"""The only home of Spark: session, inputs, census, training, progress."""
