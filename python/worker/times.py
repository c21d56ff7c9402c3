"""Times and text in results, as forms."""

from concert.errors import type_name
from concert.forms import DURATION, TEXT, TIME
from concert.imports import own
from concert.plain import CONVERTERS, Trouble


def convert_datetime(v, trail):
    offset, name = v.utcoffset(), None
    if offset is None:
        if v.tzinfo is not None:
            raise Trouble("its zone, %s, has no offset" % v.tzinfo)
        if v.fold:
            raise Trouble("it is a datetime without a zone that has fold=1, which no time of Go has; give it a zone")
    else:
        if offset.microseconds:
            raise Trouble("the offset of its zone, %s, has a fraction of a second" % offset)
        offset, name = offset.days * 86400 + offset.seconds, v.tzname() or ""
    return (Ellipsis, TIME, v.year, v.month, v.day, v.hour, v.minute, v.second, v.microsecond, extra(v, "nanosecond"), offset, name)


def convert_timedelta(v, trail):
    return Ellipsis, DURATION, v.days, v.seconds, v.microseconds, extra(v, "nanoseconds")


def extra(v, name):
    """The nanoseconds that a derived class has beyond the microseconds of its base."""
    n = getattr(v, name, 0)
    if type(n) is not int or not 0 <= n < 1000:
        raise Trouble("its attribute %s is %.80r, and not an int from 0 to 999" % (name, n))
    return n


def convert_time(v, trail):
    if v.tzinfo is not None and v.utcoffset() is None:
        raise Trouble("its zone, %s, has no offset without a date" % v.tzinfo)
    if v.fold and v.tzinfo is None:
        raise Trouble("it is a time without a zone that has fold=1, which python.TimeOfDay does not have")
    return Ellipsis, TEXT, "time", own("datetime").time.isoformat(v)


# A derived class may have a __str__ and an isoformat of its own: the text is that of the base.


def convert_date(v, trail):
    return Ellipsis, TEXT, "date", own("datetime").date.isoformat(v)


def convert_decimal(v, trail):
    # A context may ask for a small e.
    return Ellipsis, TEXT, "Decimal", own("decimal").Decimal.__str__(v).replace("e", "E")


def convert_uuid(v, trail):
    return Ellipsis, TEXT, "UUID", own("uuid").UUID.__str__(v)


def convert_path(v, trail):
    pathlib = own("pathlib")

    here = type(pathlib.PurePath())
    if not isinstance(v, here):
        raise Trouble("it is of type %s, and the paths of this system are of type %s; return its str" % (type_name(type(v)), here.__name__))
    return Ellipsis, TEXT, "Path", here.__str__(v)


def convert_fraction(v, trail):
    return Ellipsis, TEXT, "Fraction", "%x/%x" % (v.numerator, v.denominator)  # decimal digits have a limit


CONVERTERS.update(
    {
        ("datetime", "datetime"): convert_datetime,
        ("datetime", "date"): convert_date,
        ("datetime", "time"): convert_time,
        ("datetime", "timedelta"): convert_timedelta,
        ("decimal", "Decimal"): convert_decimal,
        ("fractions", "Fraction"): convert_fraction,
        ("uuid", "UUID"): convert_uuid,
        ("pathlib", "PurePath"): convert_path,
        ("pathlib._local", "PurePath"): convert_path,
    }
)
