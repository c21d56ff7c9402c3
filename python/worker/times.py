"""Converts times, decimals, paths and so on in results to forms."""

from concert.errors import type_name
from concert.forms import DURATION, TEXT, TIME
from concert.imports import own
from concert.plain import CONVERTERS, CannotSend


def convert_datetime(v, parents):
    offset, name = v.utcoffset(), None
    if offset is None:
        if v.tzinfo is not None:
            raise CannotSend("its zone, %s, has no offset" % v.tzinfo)
        if v.fold:
            raise CannotSend("it is a datetime without a zone that has fold=1, which a time of Go cannot have; give it a zone")
    else:
        if offset.microseconds:
            raise CannotSend("the offset of its zone, %s, has a fraction of a second" % offset)
        offset, name = offset.days * 86400 + offset.seconds, v.tzname() or ""
    return (Ellipsis, TIME, v.year, v.month, v.day, v.hour, v.minute, v.second, v.microsecond, extra(v, "nanosecond"), offset, name)


def convert_timedelta(v, parents):
    return Ellipsis, DURATION, v.days, v.seconds, v.microseconds, extra(v, "nanoseconds")


def extra(v, name):
    """Returns the nanoseconds of a time. Only derived classes have them, such as the classes of pandas."""
    n = getattr(v, name, 0)
    if type(n) is not int or not 0 <= n < 1000:
        raise CannotSend("its attribute %s is %.80r, and not an int from 0 to 999" % (name, n))
    return n


def convert_time(v, parents):
    if v.tzinfo is not None and v.utcoffset() is None:
        raise CannotSend("its zone, %s, has no offset without a date" % v.tzinfo)
    if v.fold and v.tzinfo is None:
        raise CannotSend("it is a time without a zone that has fold=1, which python.TimeOfDay does not have")
    return Ellipsis, TEXT, "time", own("datetime").time.isoformat(v)


# The following functions call methods of the base class, because a derived class can override methods.


def convert_date(v, parents):
    return Ellipsis, TEXT, "date", own("datetime").date.isoformat(v)


def convert_decimal(v, parents):
    # The context of the module decimal decides whether the text has e or E.
    return Ellipsis, TEXT, "Decimal", own("decimal").Decimal.__str__(v).replace("e", "E")


def convert_uuid(v, parents):
    return Ellipsis, TEXT, "UUID", own("uuid").UUID.__str__(v)


def convert_path(v, parents):
    pathlib = own("pathlib")

    here = type(pathlib.PurePath())
    if not isinstance(v, here):
        raise CannotSend("it is of type %s, and the paths of this system are of type %s; return its str" % (type_name(type(v)), here.__name__))
    return Ellipsis, TEXT, "Path", here.__str__(v)


def convert_fraction(v, parents):
    return Ellipsis, TEXT, "Fraction", "%x/%x" % (v.numerator, v.denominator)  # Python limits the number of decimal digits


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
