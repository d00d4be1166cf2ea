"""`python -m modelfactory` is `mf`."""

from modelfactory.cli.app import main

if __name__ == "__main__":
    main()
