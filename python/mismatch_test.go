package python_test

import (
	"math/big"
	"testing"
	"time"

	"concert/processes"
	"concert/python"
)

// TestMismatch_Text: if a value does not fit its Go type, the error must
// contain the value, the values that the Go type can hold, and what to
// change in the program.
func TestMismatch_Text(t *testing.T) {
	p := newPool(t, 1, nil)
	check := func(code string, to func(string) error, want string) {
		t.Helper()
		err := to(code)
		const about = "concert: result of python:1:tasks:evaluate: python: result"
		if err == nil || err.Error() != about+want {
			t.Errorf("%s:\n%v\nwant\n%s", code, err, about+want)
		}
	}
	check("1.5", into[uint8](t, p),
		`: the float 1.5 does not fit into a Go uint8, which is for an int from 0 to 255: convert it in Python, as by int(x) or round(x), or use a float64`)
	check("None", into[int](t, p),
		`: None does not fit into a Go int, which is for an int from -2**63 to 2**63-1: if None may arrive, use a pointer, *int`)
	check("300", into[int8](t, p),
		`: the int 300 does not fit into a Go int8, which is for an int from -128 to 127: use a type with a larger range, up to big.Int`)
	check("-1", into[uint](t, p),
		`: the int -1 does not fit into a Go uint, which is for an int from 0 to 2**64-1: use a type with a larger range, up to big.Int`)
	check("2**53 + 1", into[float64](t, p),
		`: the int 9007199254740993 does not fit into a Go float64, which is for a float, or an int that a float holds exactly: convert it in Python, as by float(x), or use a big.Int`)
	check("0.1", into[float32](t, p),
		`: the float 0.1 does not fit into a Go float32, which is for a float or an int that 32 bits hold exactly: convert it in Python, or use a float64`)
	check("True", into[int](t, p),
		`: a bool does not fit into a Go int, which is for an int from -2**63 to 2**63-1: convert it in Python, or use a bool`)
	check("1j", into[float64](t, p),
		`: the complex (0+1i) does not fit into a Go float64, which is for a float, or an int that a float holds exactly: convert it in Python, or use a complex128`)
	check("'12'", into[int](t, p),
		`: a str does not fit into a Go int, which is for an int from -2**63 to 2**63-1: convert "12" in Python, or use a string`)
	check("'abc'", into[[]byte](t, p),
		`: a str does not fit into a Go []uint8, which is for bytes, or a list, tuple, set or array: convert "abc" in Python, as by s.encode(), or use a string`)
	check("b'abc'", into[string](t, p),
		`: a bytes object of length 3 does not fit into a Go string, which is for a str: convert it in Python, as by b.decode(), or use a []byte`)
	check("b'abc'", into[[2]byte](t, p),
		`: a bytes object of length 3 does not fit into a Go [2]uint8, which is for a list, tuple or array of 2: convert it in Python, or use a []byte`)
	check("[1, 2, 3]", into[[2]int](t, p),
		`: a list of 3 does not fit into a Go [2]int, which is for a list, tuple or array of 2: convert it in Python, or use a slice`)
	check("[1, 2, 3]", into[int](t, p),
		`: a list of 3 does not fit into a Go int, which is for an int from -2**63 to 2**63-1: convert it in Python, or use a slice`)
	check("(1, 2, 3)", into[struct{ A, B int }](t, p),
		`: a tuple of 3 does not fit into a Go struct { A int; B int }, which is for a dict, or a tuple of its 2 fields: convert it in Python, or use a slice`)
	check("{'a': 1}", into[[]int](t, p),
		`: a dict does not fit into a Go []int, which is for a list, tuple, set or array: convert it in Python, or use a map or a struct`)
	check("[{'a': 'x'}]", into[[]map[string]bool](t, p),
		`[0]["a"]: a str does not fit into a Go bool, which is for a bool: convert "x" in Python, or use a string`)
	check("5", into[time.Duration](t, p),
		`: the int 5 does not fit into a Go time.Duration, which is for a timedelta of less than 292 years: convert it in Python, as by datetime.timedelta(seconds=x), or use an int64`)
	check("5", into[time.Time](t, p),
		`: the int 5 does not fit into a Go time.Time, which is for a datetime, a date, or a str in RFC 3339: convert it in Python, or use an int64 or a big.Int`)
	check("1.5", into[big.Int](t, p),
		`: the float 1.5 does not fit into a Go big.Int, which is for an int: convert it in Python, or use a float64`)
	check("datetime.timedelta(1)", into[int](t, p),
		`: a timedelta does not fit into a Go int, which is for an int from -2**63 to 2**63-1: convert it in Python, or use a time.Duration`)
	check("datetime.timedelta(200000)", into[time.Duration](t, p),
		`: a timedelta of 200000 days does not fit into a Go time.Duration, which is for a timedelta of less than 292 years: convert it in Python, or use another type`)
	check("datetime.timedelta(200000)", into[any](t, p),
		`: a timedelta of 200000 days does not fit into a Go any, because the Go type for it cannot hold this value: return its number of seconds, as by d.total_seconds()`)
	check("[{'a': datetime.timedelta.max}]", into[[]any](t, p),
		`[0]["a"]: a timedelta of 999999999 days does not fit into a Go any, because the Go type for it cannot hold this value: return its number of seconds, as by d.total_seconds()`)
	check("datetime.datetime(2024, 1, 2)", into[string](t, p),
		`: a datetime does not fit into a Go string, which is for a str: convert it in Python, or use a time.Time`)
	check("decimal.Decimal('1.2')", into[float64](t, p),
		`: the Decimal "1.2" does not fit into a Go float64, which is for a float, or an int that a float holds exactly: convert it in Python, or use a string`)
	check("'1.2'", into[python.Decimal](t, p),
		`: a str does not fit into a Go python.Decimal, which is for a Decimal: convert "1.2" in Python, or use a string`)
	check("array.array('d', [1, 2])", into[python.Array[uint8]](t, p),
		`[0]: the float 1 does not fit into a Go uint8, which is for an int from 0 to 255: it is an item of an array of float64 and shape (2,); convert the array in Python, as by numpy.asarray(a).astype("uint8"), or use float64 in place of uint8`)
	check("array.array('d', [1, 2])", into[[]uint8](t, p),
		`[0]: the float 1 does not fit into a Go uint8, which is for an int from 0 to 255: it is an item of an array of float64 and shape (2,); convert the array in Python, as by numpy.asarray(a).astype("uint8"), or use float64 in place of uint8`)
	check("array.array('i', [1, 300])", into[[]int8](t, p),
		`[1]: the int 300 does not fit into a Go int8, which is for an int from -128 to 127: it is an item of an array of int32 and shape (2,), so use int32 in place of int8`)
	check("array.array('d', [1, 2])", into[string](t, p),
		`: an array of float64 and shape (2,) does not fit into a Go string, which is for a str: use a slice for each dimension, or a python.Array`)
	check("array.array('d', [1, 2])", into[float64](t, p),
		`: an array of float64 and shape (2,) does not fit into a Go float64, which is for a float, or an int that a float holds exactly: use a slice for each dimension, or a python.Array`)
	check("array.array('d', [1, 2])", into[[][]float64](t, p),
		`[0]: the float 1 does not fit into a Go []float64, which is for a list, tuple, set or array: convert it in Python, or use a float64`)
	check("array.array('d', [1, 2])", into[[]string](t, p),
		`[0]: the float 1 does not fit into a Go string, which is for a str: convert it in Python, or use a float64`)
	check("[1]", into[python.Array[int64]](t, p),
		`: a list of 1 does not fit into a Go python.Array[int64], which is for an array of dtype int64: convert it in Python, or use a slice`)
	check("1", into[python.None](t, p),
		`: the int 1 does not fit into a Go python.None, which is for None: convert it in Python, or use an int64 or a big.Int`)
}

// TestResult_RowsDoNotOverlap: all rows of a result are in one allocation.
// If the program appends to a row, the next row must not change.
func TestResult_RowsDoNotOverlap(t *testing.T) {
	p := newPool(t, 1, nil)
	got, err := call(t, p, python.Func[string, [][]float64]("tasks:evaluate"), "memoryview(array.array('d', [1, 2, 3, 4])).cast('B').cast('d', (2, 2))")
	if err != nil || len(got) != 2 {
		t.Fatal(got, err)
	}
	if _ = append(got[0], 9); got[1][0] != 3 {
		t.Errorf("after an append to the first row, the second one is %v, want [3 4]", got[1])
	}
}

// into returns a function that evaluates Python code, and decodes the result as
// a T.
func into[T any](t *testing.T, p *processes.Pool) func(string) error {
	return func(code string) error {
		_, err := call(t, p, python.Func[string, T]("tasks:evaluate"), code)
		return err
	}
}
