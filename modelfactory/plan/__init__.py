"""Pure functions and frozen data: compiler, SQL rendering, fingerprints, schedule. No I/O, no clock, no environment."""
