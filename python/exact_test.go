package python

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"concert/processes"
)

// TestJSON_Exact: the encoder must refuse JSON that no Python value
// represents exactly, and must accept all other JSON.
func TestJSON_Exact(t *testing.T) {
	for text, want := range map[string]string{
		`{"a":1,"a":2}`: "two entries", `{"x":[{"a":1,"\u0061":2}]}`: "two entries", `1 2`: "not one value", `1 ]`: "not one value", ``: "not one value", `{"a":}`: "not one value",
		`1e-400`: "all digits", `[4e-324]`: "all digits", `1e400`: "out of range", `0.12345678901234567890123`: "all digits", `12345678901234567890123.5`: "all digits", `{"a":0.1000000000000000000001}`: "all digits",
		`0.1`: "", `0.10000000000000001`: "", `1.10`: "", `100.000000000000000000000`: "", `5e-324`: "", `-0`: "", `-0.0`: "", `0e5`: "", `1E5`: "", `123456789012345678901234567890`: "", `{"a":1,"A":2}`: "", `1.7976931348623157e308`: "", `[]`: "", ` {"a" : [null,true]} `: "",
	} {
		t.Run(text, func(t *testing.T) {
			_, err := codec{}.Encode(json.RawMessage(text))
			if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("%s: %v; want %q", text, err, want)
			}
		})
	}
	if v, err := fromJSON([]byte(`-0`)); err != nil || !math.Signbit(v.(float64)) {
		t.Errorf("-0 is %v, %v", v, err)
	}
}

const derived = `
import datetime, decimal, fractions, pathlib, uuid
def f(name):
    class Decimal(decimal.Decimal):
        def __str__(self): return "garbage\x1b"
    class UUID(uuid.UUID):
        def __str__(self): return "nope"
    class Hex(uuid.UUID):
        hex = "g" * 32
        int = property(lambda self: -1)
    class Date(datetime.date):
        def isoformat(self): return "x"
        __str__ = isoformat
    class Time(datetime.time):
        def isoformat(self): return "x"
        __str__ = isoformat
    class Path(type(pathlib.PurePath())):
        def __str__(self): return "x\0"
    class Fraction(fractions.Fraction):
        def __str__(self): return "x"
        numerator = denominator = 0
    class Year(datetime.datetime):
        year = 10**6
    class Month(datetime.datetime):
        month = 13
    class Day(datetime.datetime):
        day = 31
    class Hour(datetime.datetime):
        hour = -1
    class Second(datetime.datetime):
        second = 60
    class Micro(datetime.datetime):
        microsecond = 10**6
    class Offset(datetime.datetime):
        def utcoffset(self): return datetime.timedelta(days=2)
    class Zone(datetime.tzinfo):
        def utcoffset(self, t): return datetime.timedelta(microseconds=5)
        def tzname(self, t): return None
    return {
        "Decimal": lambda: Decimal(1), "UUID": lambda: UUID(int=1), "Hex": lambda: Hex(int=1), "Date": lambda: Date(2020, 1, 1), "Time": lambda: Time(1, 2, 3),
        "Path": lambda: Path("p"), "Fraction": lambda: Fraction(1, 2), "Zone": lambda: datetime.datetime(2020, 2, 1, tzinfo=Zone()), "TimeZone": lambda: datetime.time(1, tzinfo=Zone()),
        "Offset": lambda: Offset(2020, 2, 1, tzinfo=datetime.timezone.utc),
        **{c.__name__: (lambda c=c: c(2020, 2, 1)) for c in (Year, Month, Day, Hour, Second, Micro)},
    }[name]()
`

// TestResult_DerivedClass: if the methods of a derived class return invalid
// values, an instance must arrive as a value of the base class, or the call
// must fail.
func TestResult_DerivedClass(t *testing.T) {
	t.Parallel()
	eachInterpreter(t, func(t *testing.T, p *processes.Pool, _ bool) {
		for name, want := range map[string]any{
			"Decimal": Decimal("1"), "UUID": UUID("00000000-0000-0000-0000-000000000001"), "Date": Date("2020-01-01"), "Time": TimeOfDay("01:02:03"), "Path": Path("p"),
			"Hex": nil, "Fraction": nil, "Year": nil, "Month": nil, "Day": nil, "Hour": nil, "Second": nil, "Micro": nil, "Offset": nil, "Zone": nil, "TimeZone": nil,
		} {
			t.Run(name, func(t *testing.T) {
				got, err := submit(t, p, Source[string, any]("f", derived), name)
				if want == nil && err == nil || want != nil && (err != nil || got != want) {
					t.Errorf("%s: %v, %v; want %v", name, got, err, want)
				}
			})
		}
	})
}

// TestNumPy_UnsupportedShape: if no Go type can hold an array, the error
// must contain the shape of the array.
func TestNumPy_UnsupportedShape(t *testing.T) {
	for _, shape := range [][]int{{1 << 33, 0}, {0, 1 << 31}, make([]int, maxDims+1)} {
		_, err := newBuffer("f8", shape, nil)
		if err == nil || !strings.Contains(err.Error(), "has a dimension of more than 2147483647, more than 32 dimensions, or too many elements") || !errors.Is(err, errShape) {
			t.Errorf("%v: %v", shape, err)
		}
	}
}
