"""Times as clients compare them: shown without fractions of a second, kept with them."""

from datetime import datetime, timedelta


def second_of(when: datetime) -> tuple[datetime, datetime]:
    """Return the begin of the second that `when` lies in, and the begin of the next one.

    A client that filters by the time it was shown must find the row it was shown, whatever the fraction.
    """
    begin = when.replace(microsecond=0)
    try:
        return begin, begin + timedelta(seconds=1)
    except OverflowError:  # the last second that a datetime can say
        return begin, when.replace(microsecond=999999)
