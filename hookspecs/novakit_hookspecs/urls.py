"""URLs as they may be shown: in a finding, an error, a log."""


def without_secrets(url: str) -> str:
    """Return a URL with `***` for its user and password, and for what follows a ? or #, where tokens may stand.

    What is no URL that a parser takes is cut with more left out rather than less: an operator's slip must not show
    what the right spelling would have hidden.
    """
    scheme, slashes, rest = url.partition("//") if "//" in url else ("", "", url)
    cut = min((at for at in (rest.find("?"), rest.find("#")) if at >= 0), default=len(rest))
    place, query = rest[:cut], rest[cut:]
    _, at, host = place.rpartition("@")
    if "@" in query and not at:
        return f"{scheme}{slashes}***"  # of a password with a ? in it, or of a query with an @: nobody knows
    return f"{scheme}{slashes}{'***@' if at else ''}{host}{query[:1]}{'***' if query[1:] else ''}"
