"""The use cases: arguments in, a result record out. The only place where floors meet."""
