"""Write the models of a family for other tools, which do not need this package, or need it as a library alone."""
