"""What errors and values say, as outcomes and answers hold it."""

from __future__ import annotations

from modelfactory.diagnostics import shortened


def one_line(said: object, most: int) -> str:
    """Return what an error or a warning says as one line of bounded length that Arrow takes.

    Args:
        said: the error, or anything else that has a text.
        most: characters that are kept.
    """
    try:
        text = " ".join(str(said).split())
    except Exception:
        text = f"a {type(said).__name__} whose text cannot be read"
    return shortened(text.encode("utf-8", "backslashreplace").decode(), most)  # Arrow takes no lone surrogates
