"""Where `mf` and `python -m modelfactory` start: it loads nothing before an interrupt is quiet."""

import signal
import sys


def main() -> None:
    """Run `mf`."""
    try:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # how schedulers interrupt
        from modelfactory.cli.app import main as run

        run()
    except KeyboardInterrupt:  # while modules load: nothing is begun
        from modelfactory.commands.interrupt import INTERRUPTED

        sys.exit(INTERRUPTED)
    finally:
        exec("")  # `python -m` ends as killed, whatever the exit code, if the last `exec` of a text was interrupted


if __name__ == "__main__":
    main()
