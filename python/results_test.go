package python

import (
	"math"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"

	"concert/processes"
)

// fails is an expected outcome: an error that contains each of these texts.
type fails []string

// pythonKinds returns Python expressions, and for each of them an expected
// Go value: a variable of type any gets it if a function returns the value
// of the expression.
func pythonKinds() map[string]any {
	utc := time.UTC
	huge := new(big.Int).Lsh(big.NewInt(1), 100)
	m := map[string]any{
		"None": nil, "True": true, "5": int64(5), "-(1 << 63)": int64(math.MinInt64), "-(1 << 63) - 1": new(big.Int).Sub(big.NewInt(math.MinInt64), big.NewInt(1)), "1 << 63": new(big.Int).SetUint64(1 << 63), "1 << 100": huge, "0.5": 0.5, "2j": 2i,
		"'\\udce9'": "\xe9", "{'\\udcc3\\u00e9': ['a\\udce9']}": map[string]any{"\xc3\u00e9": []any{"a\xe9"}}, "('\\udce9',)": []any{"\xe9"}, "type('S', (str,), {})('\\udc80')": "\x80", "pathlib.Path('\\udce9')": Path("\xe9"),
		"type('I', (int,), {'__int__': lambda s: 7, '__index__': lambda s: 8})(5)": int64(5), "type('F', (float,), {'__float__': lambda s: 7.0})(-0.0)": math.Copysign(0, -1), "type('C', (complex,), {'__complex__': lambda s: 7j})(2j)": 2i,
		"type('B', (bytes,), {'__bytes__': lambda s: b'no'})(b'x')": []byte("x"), "type('A', (bytearray,), {'__bytes__': lambda s: b'no'})(b'x')": []byte("x"), "type('S', (str,), {'__str__': lambda s: 'no'})('x')": "x",
		"type('D', (decimal.Decimal,), {'__str__': lambda s: 'no'})('1.50')": Decimal("1.50"), "type('U', (uuid.UUID,), {'__str__': lambda s: 'no'})(int=1)": UUID("00000000-0000-0000-0000-000000000001"),
		"type('D', (datetime.date,), {'isoformat': lambda s: 'no'})(2024, 1, 31)": Date("2024-01-31"), "type('T', (datetime.time,), {'isoformat': lambda s: 'no'})(1, 2)": TimeOfDay("01:02:00"), "type('P', (type(pathlib.PurePath()),), {'__str__': lambda s: 'no'})('b')": Path("b"),
		"decimal.setcontext(decimal.Context(capitals=0)) or [decimal.Decimal('1e5'), decimal.Decimal('snan12'), decimal.Decimal('-0e-9')]": []any{Decimal("1E+5"), Decimal("sNaN12"), Decimal("-0E-9")},
		"fractions.Fraction(1 << 100000, 3)": new(big.Rat).SetFrac(new(big.Int).Lsh(big.NewInt(1), 100_000), big.NewInt(3)), "Perm.R | Perm.W": int64(3), "Whole.X": int64(4), "[Whole.X | Whole.Y]": []any{int64(12)},
		"datetime.datetime(2024, 1, 1, fold=1, tzinfo=tz(3600, 'A'))": time.Date(2024, 1, 1, 0, 0, 0, 0, time.FixedZone("A", 3600)), "datetime.time(1, 2, 3, fold=1, tzinfo=tz(3600))": TimeOfDay("01:02:03+01:00"),
		"datetime.datetime.min": time.Date(1, 1, 1, 0, 0, 0, 0, Naive), "datetime.datetime.max": time.Date(9999, 12, 31, 23, 59, 59, 999999000, Naive), "datetime.date.max": Date("9999-12-31"), "datetime.time.max": TimeOfDay("23:59:59.999999"),
		"memoryview(bytes([0, 1, 2, 255])).cast('?')": []bool{false, true, true, true}, "[memoryview(bytes([2, 0])).cast('?')]": []any{[]bool{true, false}}, "memoryview(b'ab').toreadonly()": []byte("ab"), "memoryview(b'abcd').cast('h')[::-1]": []int16{25699, 25185},
		"types.MappingProxyType({})": fails{"mappingproxy"}, "collections.namedtuple('P', 'x y')(1, 2)": []any{int64(1), int64(2)},
		"'h\\u00e9'": "h\u00e9", "b'\\xff'": []byte{255}, "bytearray(b'x')": []byte("x"), "memoryview(b'xyz')[::2]": []byte("xz"), "[]": []any{}, "()": []any{}, "{}": map[string]any{},
		"[1, 'a', None]": []any{int64(1), "a", nil}, "(1, 2)": []any{int64(1), int64(2)}, "{7}": []any{int64(7)}, "frozenset([7])": []any{int64(7)}, "{'a': {'b': 1}}": map[string]any{"a": map[string]any{"b": int64(1)}},
		"{1: 'a', 'b': 2}": map[any]any{int64(1): "a", "b": int64(2)}, "{'b': 2, 1: 'a'}": map[any]any{int64(1): "a", "b": int64(2)}, "{None: 1}": map[any]any{nil: int64(1)},
		"{1.5: 1}": map[any]any{1.5: int64(1)}, "[[1], [2.5]]": []any{[]any{int64(1)}, []any{2.5}},
		"collections.OrderedDict(a=1)": map[string]any{"a": int64(1)}, "collections.Counter('aa')": map[string]any{"a": int64(2)}, "collections.defaultdict(int, a=1)": map[string]any{"a": int64(1)},
		"type('S', (str,), {})('x')": "x", "type('I', (int,), {})(5)": int64(5), "type('F', (float,), {})(5)": 5.0, "type('L', (list,), {})([1])": []any{int64(1)}, "type('B', (bytes,), {})(b'x')": []byte("x"),
		"Color.RED": int64(2), "Plain.A": "first", "[Plain.B]": []any{[]any{int64(1), int64(2)}}, "Point(1, 'y')": []any{int64(1), "y"}, "Data(1, 'n')": map[string]any{"x": int64(1), "name": "n"},
		"Nested([Nested(1, 2.5)])": map[string]any{"inner": []any{map[string]any{"inner": int64(1), "price": 2.5}}, "price": nil}, "Money(5)": map[string]any{"cents": int64(5)}, "[Money(Money(5))]": []any{map[string]any{"cents": map[string]any{"cents": int64(5)}}},
		"datetime.datetime(2024, 2, 29, 1, 2, 3, 4)":                   time.Date(2024, 2, 29, 1, 2, 3, 4000, Naive),
		"datetime.datetime(2024, 2, 29, tzinfo=datetime.timezone.utc)": time.Date(2024, 2, 29, 0, 0, 0, 0, utc),
		"[datetime.datetime(1, 1, 1, tzinfo=tz(-3600, 'X'))]":          []any{time.Date(1, 1, 1, 0, 0, 0, 0, time.FixedZone("X", -3600))},
		"datetime.datetime(9999, 12, 31, tzinfo=tz(5400))":             time.Date(9999, 12, 31, 0, 0, 0, 0, time.FixedZone("UTC+01:30", 5400)),
		"{datetime.date(2024, 1, 31): 1}":                              map[any]any{Date("2024-01-31"): int64(1)},
		"datetime.date(2024, 1, 31)":                                   Date("2024-01-31"),
		"datetime.time(1, 2, 3)":                                       TimeOfDay("01:02:03"),
		"datetime.time(1, 2, 3, 4, tz(3600))":                          TimeOfDay("01:02:03.000004+01:00"),
		"datetime.timedelta(days=-1, microseconds=1)":                  -24*time.Hour + time.Microsecond,
		"[datetime.timedelta(0)]":                                      []any{time.Duration(0)},
		"decimal.Decimal('1.20')":                                      Decimal("1.20"),
		"[decimal.Decimal('-Infinity'), decimal.Decimal('1e5')]":       []any{Decimal("-Infinity"), Decimal("1E+5")},
		"fractions.Fraction(-1, 3)":                                    big.NewRat(-1, 3),
		"uuid.UUID(int=1)":                                             UUID("00000000-0000-0000-0000-000000000001"),
		"pathlib.Path('/a/b')":                                         Path("/a/b"),
		"pathlib.PurePosixPath('b')":                                   Path("b"),
		"array.array('b', [-1])":                                       []int8{-1},
		"array.array('B', [1])":                                        []byte{1},
		"array.array('h', [-1])":                                       []int16{-1},
		"array.array('i', [-1])":                                       []int32{-1},
		"array.array('l', [-1])":                                       []int64{-1},
		"array.array('q', [-1])":                                       []int64{-1},
		"array.array('H', [1])":                                        []uint16{1},
		"array.array('I', [1])":                                        []uint32{1},
		"array.array('L', [1])":                                        []uint64{1},
		"array.array('Q', [1])":                                        []uint64{1},
		"array.array('f', [1])":                                        []float32{1},
		"array.array('d', [1])":                                        []float64{1},
		"array.array('d')":                                             []float64{},
		"array.array('u', 'h\\u00e9')":                                 []any{"h", "\u00e9"},
		"[array.array('d', [1]), array.array('B', [1])]":               []any{[]float64{1}, []byte{1}},
		"{'a': array.array('f', [1])}":                                 map[string]any{"a": []float32{1}},
		"memoryview(array.array('d', [1, 2, 3]))[::2]":                 []float64{1, 3},
		"memoryview(bytes(range(6))).cast('B', (2, 3))":                Array[uint8]{[]int{2, 3}, []uint8{0, 1, 2, 3, 4, 5}},
		"[memoryview(b'xyz')[1:], memoryview(b'xyz')[::-1]]":           []any{[]byte("yz"), []byte("zyx")},
		"memoryview((ctypes.c_int * 2)(1, 2)).cast('B').cast('i')":     []int32{1, 2},
		"nest(890) and 1":                                              int64(1),
		"[] if nest(2) else 1":                                         []any{},
	}
	for text, want := range map[string]fails{
		"object()": {"the result cannot be sent", "of type object"}, "[1, {'a': [Thing()]}]": {"the result[1]['a'][0] cannot be sent", "tasks.Thing", "concert.converts"}, "Nested(1, [0, Thing()])": {"the result.price[1]"},
		"(x for x in ())": {"generator"}, "range(3)": {"range"}, "len": {"builtin_function"}, "int": {"of type type"}, "...": {"ellipsis"}, "(..., 1, 2)": {"the result[0]", "ellipsis"}, "[..., 5]": {"ellipsis"},
		"circle()": {"contains itself"}, "nest(2000)": {"nested deeper than 900"}, "nest(2000, kind=tuple)": {"nested deeper"}, "nest(950, kind=dict)": {"nested deeper"}, "nest(950, Thing())": {"nested deeper"}, "[[Nested(circle())]]": {"contains itself", "the result[0][0].inner[0]"},
		"[datetime.datetime(2024, 1, 1, fold=1)]": {"the result[0] cannot be sent", "fold=1"}, "datetime.time(1, fold=1)": {"fold=1"}, "datetime.datetime(2024, 1, 1, tzinfo=NoOffset())": {"has no offset"}, "datetime.time(1, tzinfo=NoOffset())": {"no offset without a date"},
		"type('T', (datetime.datetime,), {'nanosecond': 1000})(2024, 1, 1)": {"attribute nanosecond is 1000"}, "[type('T', (datetime.timedelta,), {'nanoseconds': 'x'})(1)]": {"the result[0]", "attribute nanoseconds is 'x'"}, "type('T', (datetime.datetime,), {'nanosecond': lambda self: 1})(2024, 1, 1)": {"attribute nanosecond is"},
		"{'first', Plain.A}": {"another item", "is the same"}, "[DataDict(1)]": {"the result[0]", "both a dataclass and a dict"}, "pathlib.PureWindowsPath('a\\\\b')": {"PureWindowsPath", "return its str"}, "[memoryview((ctypes.c_longdouble * 2)(1, 2))]": {"the result[0]", "format"}, "frozenset([Plain.A, 'first'])": {"another item"},
		"datetime.datetime(2024, 1, 1, tzinfo=tz(0.5))": {"fraction of a second"}, "{Plain.A: 1, 'first': 2}": {"another key"}, "Money(object())": {"the result['cents']", "object"},
		"datetime.timedelta(days=200000)": {"timedelta of 200000 days", "does not fit"}, "[datetime.timedelta.max]": {"result[0]"}, "collections.deque([1])": {"deque"},
	} {
		m[text] = want
	}
	return m
}

// numpyKinds returns expressions with NumPy, and for each of them the
// expected value in a variable of type any.
func numpyKinds() map[string]any {
	day := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	m := map[string]any{
		"np.float64(0.5)": 0.5, "np.float32(0.5)": 0.5, "np.float16(0.5)": 0.5, "np.int8(-1)": int64(-1), "np.uint64(1)": int64(1), "np.uint64(2**64-1)": new(big.Int).SetUint64(math.MaxUint64), "np.bool_(True)": true,
		"np.complex64(1j)": 1i, "np.str_('x')": "x", "np.bytes_(b'x')": []byte("x"), "[np.float64(0.5), np.int8(3), np.bool_(False)]": []any{0.5, int64(3), false}, "{np.int64(1): np.str_('a')}": map[any]any{int64(1): "a"},
		"np.array(5)": int64(5), "np.array(0.5, 'f4')": 0.5, "np.arange(4, dtype='u1')": []byte{0, 1, 2, 3}, "np.arange(4, dtype='u1')[::2]": []byte{0, 2}, "[np.arange(4, dtype='u1')[::-2]]": []any{[]byte{3, 1}},
		"np.arange(3)": []int64{0, 1, 2}, "np.arange(6)[::2]": []int64{0, 2, 4}, "np.arange(3, dtype='>i4')": []int32{0, 1, 2}, "[np.arange(3, dtype='>f8')]": []any{[]float64{0, 1, 2}}, "np.arange(2, dtype='f2')": []float32{0, 1},
		"np.array([True, False])": []bool{true, false}, "[np.array([True, False, True])[::2]]": []any{[]bool{true, true}}, "np.arange(2, dtype='c8')": []complex64{0, 1}, "np.arange(2, dtype='c16')": []complex128{0, 1}, "np.arange(3, dtype='c8')[::2]": []complex64{0, 2},
		"np.array([[1, 2], [3, 4]])": Array[int64]{[]int{2, 2}, []int64{1, 2, 3, 4}}, "np.array([[1, 2], [3, 4]]).T": Array[int64]{[]int{2, 2}, []int64{1, 3, 2, 4}}, "np.asfortranarray([[1., 2], [3, 4]])": Array[float64]{[]int{2, 2}, []float64{1, 2, 3, 4}},
		"np.zeros((2, 0, 3), 'u2')": Array[uint16]{[]int{2, 0, 3}, []uint16{}}, "np.matrix([[1, 2]])": Array[int64]{[]int{1, 2}, []int64{1, 2}}, "np.zeros((1, 1, 3), 'u1')": Array[uint8]{[]int{1, 1, 3}, []uint8{0, 0, 0}}, "np.arange(0)": []int64{},
		"{'a': [np.zeros((1, 2))]}": map[string]any{"a": []any{Array[float64]{[]int{1, 2}, []float64{0, 0}}}}, "Nested(np.arange(2, dtype='i2'))": map[string]any{"inner": []int16{0, 1}, "price": nil},
		"np.array(['a', 'bc'])": []any{"a", "bc"}, "np.array([b'a'])": []any{[]byte("a")}, "np.array([1, 'x', None], dtype=object)": []any{int64(1), "x", nil}, "np.array([[1], [[2]]], dtype=object)": []any{[]any{int64(1)}, []any{[]any{int64(2)}}},
		"np.array([(1, 2.5)], dtype=[('a', 'i4'), ('b', 'f8')])": []any{[]any{int64(1), 2.5}}, "np.array([(1, '2024-01-01')], dtype=[('a', 'i4'), ('b', 'M8[ns]')])[0]": []any{int64(1), day}, "np.rec.array([(1,)], dtype=[('a', 'i4')])": []any{[]any{int64(1)}},
		"np.bytes_(b'x\\0')": []byte("x\x00"), "[np.ma.masked]": []any{nil}, "np.array((1, 2.5), dtype=[('a', 'i4'), ('b', 'f8')])": []any{int64(1), 2.5}, "np.array(b'x')": []byte("x"), "np.array(None, object)": nil, "np.array([2, 0], 'u1').view('?')": []bool{true, false},
		"np.frombuffer(b'\\1\\0\\2\\0', 'i2')": []int16{1, 2}, "np.broadcast_to(np.float64(5), (2, 2))": Array[float64]{[]int{2, 2}, []float64{5, 5, 5, 5}}, "np.arange(6, dtype='i4').reshape(2, 3)[::-1, ::-2]": Array[int32]{[]int{2, 2}, []int32{5, 3, 2, 0}},
		"np.array([(1, [2, 3])], dtype=[('a', 'i4'), ('b', 'u2', 2)])": []any{[]any{int64(1), []uint16{2, 3}}}, "np.array(['2024'], 'M8[Y]').reshape(())": time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC), "np.longlong(5)": int64(5),
		"np.void(b'xy')": []byte("xy"), "np.ma.masked_array([1, 2], mask=[0, 1])": []any{int64(1), nil}, "np.ma.masked_array([1, 2])": []int64{1, 2}, "np.array('2024-01-01', 'M8[D]')": day,
		"np.datetime64('2024-01-01T00:00:00.000000001')": day.Add(1), "np.datetime64('2024')": day, "[np.datetime64('2024-01')]": []any{day}, "np.timedelta64(-5, 'ms')": -5 * time.Millisecond, "np.timedelta64(1, 'W')": 7 * 24 * time.Hour,
		"np.array([['2024-01-01']], 'M8[ms]')": [][]time.Time{{day}}, "np.array([1, 2], 'm8[h]')[::1]": []time.Duration{time.Hour, 2 * time.Hour}, "np.array([3], 'm8[25us]')": []time.Duration{75 * time.Microsecond}, "np.datetime64(-1, 'ms')": time.Unix(-1, 999e6).UTC(),
		"np.array([2000], 'm8[ps]')": []time.Duration{2}, "np.datetime64('0001-01-01')": time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), "np.array(['2024-01-01'], '>M8[s]')": []time.Time{day}, "{np.datetime64('2024-01-01'): 1}": map[any]any{day: int64(1)},
	}
	for _, unit := range []string{"Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps"} {
		from := day
		if unit == "W" {
			from = time.Date(2023, 12, 28, 0, 0, 0, 0, time.UTC) // NumPy's weeks begin on Thursday, the weekday of the epoch
		}
		text := "np.array(['2024-01-01'], 'M8[" + unit + "]')"
		if unit == "ps" {
			text, from = "np.array([5000], 'M8[ps]')", time.Unix(0, 5).UTC()
		}
		m[text] = []time.Time{from}
		m["["+text+"[0], "+text+"[::1]]"] = []any{from, []time.Time{from}}
	}
	for text, want := range map[string]fails{
		"np.longdouble(1)": {"the result cannot be sent", "more digits"}, "np.ma.masked_array(np.zeros(2, np.longdouble), mask=[0, 1])": {"more digits"}, "np.zeros(2, np.longdouble)": {"more digits"}, "[1, np.zeros(2, np.clongdouble)]": {"the result[1]", "more digits"}, "{'a': np.array([np.longdouble(1)], object)}": {"the result['a'][0]", "more digits"},
		"np.array([Thing()])": {"the result[0]", "tasks.Thing"}, "np.array([[1, Thing()]], dtype=object)": {"the result[0][1]"}, "np.array([(1, 2)], dtype=[('a', 'i4'), ('b', np.longdouble)])": {"the result[0]['b']", "more digits"},
		"np.array([1500], 'm8[ps]')": {"not a whole number of nanoseconds"}, "np.array([1], 'M8[fs]')": {"not a whole number"}, "np.timedelta64(1, 'Y')": {"no fixed length"}, "[np.array([1], 'm8')]": {"the result[0]", "no fixed length"}, "np.array([2**62], 'M8[D]')": {"too large"},
		"np.array(['2024-01-01', 'NaT'], 'M8[ns]')": {"result[1]", "NaT"}, "[np.datetime64('NaT')]": {"result[0]", "NaT (not a time) does not fit into a Go any, because the Go type for it cannot hold this value: return None"}, "np.array(['NaT'], 'm8[s]')": {"NaT"}, "np.array([2**62], 'm8[s]')": {"result[0]", "does not fit"},
		"np.ma.masked_array(np.array(['2024'], 'M8[Y]'), mask=[1])": {"masked"}, "np.array(['\\ud800'])": {"result[0]", "surrogates"}, "np.random": {"module"}, "np.float64": {"of type type"}, "np.array([circle()], dtype=object)": {"contains itself"},
	} {
		m[text] = want
	}
	return m
}

// TestRoundTrip_Python: the value of each expression must arrive as the
// expected value in a variable of type any, or the call must fail with an
// error that names the part of the value.
func TestRoundTrip_Python(t *testing.T) {
	t.Parallel()
	evaluate := Func[string, any]("tasks:evaluate")
	eachInterpreter(t, func(t *testing.T, p *processes.Pool, numpy bool) {
		if err := relay(t, p, "tasks:echo", 0, reflect.ValueOf(new(any))); err != nil {
			t.Fatal(err)
		}
		if _, err := submit(t, p, Func[None, any]("tasks:equip"), None{}); err != nil {
			t.Fatal(err)
		}
		all := pythonKinds()
		if numpy {
			for text, want := range numpyKinds() {
				all[text] = want
			}
		}
		for text, want := range all {
			got, err := submit(t, p, evaluate, text)
			if parts, ok := want.(fails); ok {
				for _, part := range parts {
					if err == nil || !strings.Contains(err.Error(), part) {
						t.Errorf("%s is %#v, %v; want an error with %q", text, got, err, part)
					}
				}
				continue
			}
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s is %#v, %v; want %#v", text, got, err, want)
			}
		}
	})
}

// TestResult_Types: a result must be decoded into each type that can hold it
// exactly. For any other type, the decoder must return an error.
func TestResult_Types(t *testing.T) {
	t.Parallel()
	eachInterpreter(t, func(t *testing.T, p *processes.Pool, numpy bool) {
		fits := func(text string, want any) {
			t.Helper()
			to := reflect.New(reflect.TypeOf(want))
			err := relay(t, p, "tasks:evaluate", text, to)
			if err != nil || !reflect.DeepEqual(to.Elem().Interface(), want) {
				t.Errorf("%s is %#v, %v; want %#v", text, to.Elem(), err, want)
			}
		}
		no := func(text string, to any, want string) {
			t.Helper()
			if err := relay(t, p, "tasks:evaluate", text, reflect.ValueOf(to)); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s is %v, %v; want an error with %q", text, reflect.ValueOf(to).Elem(), err, want)
			}
		}
		fits("b'abc'", []int{97, 98, 99})
		fits("array.array('h', [1, -2])", []int{1, -2})
		fits("array.array('f', [0.5])", []float64{0.5})
		fits("[array.array('d', [0.5])]", [][]float32{{0.5}})
		fits("[array.array('q', [1, 2])]", [][2]uint8{{1, 2}})
		fits("array.array('d', [1, 2])", [2]celsius{1, 2})
		fits("array.array('d', [1, 2])", []any{1.0, 2.0})
		fits("array.array('d', [1, 2])", Array[float64]{[]int{2}, []float64{1, 2}})
		fits("[1, 2]", []float64{1, 2})
		fits("[0.5, 1]", []float64{0.5, 1})
		fits("[1, 1 << 40]", []int64{1, 1 << 40})
		fits("1j", complex64(1i))
		fits("[{'X': 1}, {'x': 2}]", []struct{ X int }{{1}, {2}})
		fits("datetime.date(2024, 1, 2)", time.Date(2024, 1, 2, 0, 0, 0, 0, Naive))
		fits("datetime.date(2024, 1, 2)", "2024-01-02")
		fits("'2024-01-02T00:00:00Z'", time.Date(2024, 1, 2, 0, 0, 0, 0, time.UTC))
		fits("decimal.Decimal('0.1')", *big.NewRat(1, 10))
		fits("uuid.UUID(int=0)", "00000000-0000-0000-0000-000000000000")
		fits("datetime.datetime(2024, 1, 2, tzinfo=datetime.timezone.utc)", stamp{time.Date(2024, 1, 2, 0, 0, 0, 0, time.UTC)})
		no("[1, 300]", new([]int8), "result[1]: the int 300 does not fit into a Go int8")
		no("[{'price': 1}, {'price': 'x'}]", new([]struct{ Price int }), "result[1].price: a str does not fit")
		no("{'a': [1.5]}", new(map[string][]int), `result["a"][0]: the float 1.5`)
		no("array.array('h', [1, 300])", new([]uint8), "result[1]: the int 300")
		no("[array.array('d', [0.1])]", new([][]float32), "result[0][0]: the float 0.1")
		no("array.array('d', [1])", new([2]float64), "shape (1,)")
		no("array.array('d', [1])", new(string), "does not fit")
		no("array.array('d', [1.5])", new(Array[int8]), "[0]: the float 1.5")
		no("0.1 + 1j", new(complex64), "complex")
		no("decimal.Decimal('0.1')", new(float64), `the Decimal "0.1"`)
		no("decimal.Decimal('0.1')", new(Date), "Decimal")
		no("datetime.datetime(2024, 1, 2)", new(string), "a datetime does not fit")
		no("5", new(time.Duration), "the int 5 does not fit")
		no("{1: 1}", new(map[string]int), "[a key]")
		no("[(1, 2)]", new(map[string]int), "a list")
		no("{(1, 2): 3}", new(any), "[a key]")
		if !numpy {
			return
		}
		fits("np.arange(6).reshape(2, 3)", [][]int{{0, 1, 2}, {3, 4, 5}})
		fits("np.arange(6).reshape(2, 3).T", [][]int64{{0, 3}, {1, 4}, {2, 5}})
		fits("np.arange(6, dtype='u1').reshape(1, 2, 3)", [][][]uint8{{{0, 1, 2}, {3, 4, 5}}})
		fits("np.arange(6, dtype='u1').reshape(1, 2, 3)", [][][3]uint8{{{0, 1, 2}, {3, 4, 5}}})
		fits("np.arange(6, dtype='u1').reshape(1, 2, 3)", [1][2][3]uint8{{{0, 1, 2}, {3, 4, 5}}})
		fits("np.arange(6, dtype='u1').reshape(1, 2, 3)", [][2][]float64{{{0, 1, 2}, {3, 4, 5}}})
		fits("np.arange(4, dtype='f4').reshape(2, 2)", Array[float64]{[]int{2, 2}, []float64{0, 1, 2, 3}})
		fits("np.arange(4).reshape(2, 2)", []any{[]int64{0, 1}, []int64{2, 3}})
		fits("np.zeros((2, 0))", [][]float64{{}, {}})
		fits("np.array(['2024-01-01', 'NaT'], 'M8[D]')", []*time.Time{pointer(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)), nil})
		fits("np.array([(1, 'x')], dtype=[('a', 'i4'), ('b', 'U1')])", []struct {
			A int
			B string
		}{{1, "x"}})
		no("np.zeros((2, 2))", new([]float64), "result[0]: an array of float64 and shape (2,)")
		no("np.array(['2024-01-01'], 'M8[s]')", new([]int64), "result[0]: a datetime does not fit")
		no("np.array([5], 'm8[s]')", new([]int64), "result[0]: a timedelta does not fit")
		no("np.array(['2024-01-01'], 'M8[s]')", new(Array[int64]), "an array of times and shape (1,)")
		no("np.zeros(2)", new([][]float64), "the float 0 does not fit")
		no("np.zeros((10**9, 0))", new([][]float64), "too large")
	})
}

type stamp struct{ time.Time }

func pointer[T any](v T) *T { return &v }

// TestArgument_Types: the Python type of an argument must depend only on its
// Go type, and not on the modules that the worker has imported.
func TestArgument_Types(t *testing.T) {
	eachInterpreter(t, func(t *testing.T, p *processes.Pool, numpy bool) {
		now := time.Date(2024, 1, 1, 0, 0, 0, 1, time.UTC)
		want := map[string]any{
			"array.array d 2": []float64{1, 2}, "array.array f 0": []float32{}, "array.array b 1": []int8{1}, "array.array h 1": []int16{1}, "array.array i 1": []int32{1},
			"array.array q 1": []int64{1}, "array.array H 1": []uint16{1}, "array.array I 1": []uint32{1}, "array.array Q 1": []uint64{1}, "builtins.bytes": []byte{1},
			"builtins.list[builtins.int]": []int{1}, "builtins.list[builtins.bool]": []bool{true}, "builtins.list[builtins.complex]": []complex128{1},
			"builtins.list[array.array d 1, builtins.NoneType]": [][]float64{{1}, nil}, "builtins.dict{builtins.str: array.array d 1}": map[string][]float64{"a": {1}}, "datetime.datetime": now.Add(-1),
			"concert.Datetime": now, "datetime.timedelta": time.Second, "datetime.date": Date("2024-01-01"), "datetime.time": TimeOfDay("00:00:00"), "decimal.Decimal": Decimal("1"), "fractions.Fraction": big.NewRat(1, 2),
			"uuid.UUID": UUID("00000000-0000-0000-0000-000000000000"), "builtins.dict{builtins.str: builtins.list[array.array f 1]}": struct{ X [1]any }{[1]any{[1]float32{}}},
		}
		if numpy {
			want["numpy.ndarray float32 (1, 2) True"] = Array[float32]{[]int{1, 2}, []float32{1, 2}}
			want["builtins.list[numpy.ndarray float64 (1,) True]"] = []Array[float64]{{nil, []float64{1}}}
		}
		echo := Func[any, any]("tasks:kind_of")
		for kind, v := range want {
			if got, err := submit(t, p, echo, v); got != any(kind) || err != nil {
				t.Errorf("%T is %v, %v; want %s", v, got, err, kind)
			}
		}
		if got, err := submit(t, p, Func[[]float64, string]("tasks:kind_of"), []float64{1}); got != "array.array d 1" || err != nil {
			t.Errorf("the argument itself is %v, %v", got, err)
		}
	})
}
