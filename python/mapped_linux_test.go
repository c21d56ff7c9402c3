package python_test

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"concert"
	"concert/internal/smaps"
	"concert/python"
)

// wanted is an argument. It asks for N numbers that begin with First, in a
// form. The form is the name of a function in the module of makesNumbers.
type wanted struct {
	Form  string
	N     int
	First int
}

func (w wanted) numbers() []float64 {
	v := make([]float64, w.N)
	for i := range v {
		v[i] = float64(w.First + i)
	}
	return v
}

const makesNumbers = `
import array, os

def make(w):
    return globals()[w["Form"]](w["First"], w["First"] + w["N"])

def arrays(a, b):
    return array.array("d", range(a, b))

def views(a, b):
    return memoryview(arrays(a, b)).toreadonly()

def lists(a, b):
    return [float(x) for x in range(a, b)]

def floats(a, b):
    return array.array("f", range(a, b))

def numpys(a, b):
    import numpy
    return numpy.arange(a, b, dtype="f8")

def strides(a, b):
    import numpy
    return numpy.arange(2 * a, 2 * b, dtype="f8")[::2] / 2

def matrices(a, b):
    import numpy
    return numpy.zeros((4, 100000))

def blobs(a, b):
    return bytes(b - a)

def bytearrays(a, b):
    return bytearray(b - a)

def pid(_):
    return os.getpid()

def die(_):
    os._exit(3)
`

var (
	makeNumbers = python.Source[wanted, *concert.Mapped[float64]]("make", makesNumbers)
	makeBytes   = python.Source[wanted, *concert.Mapped[byte]]("make", makesNumbers)
	dieNow      = python.Source[int, int]("die", makesNumbers)
)

// mappedPages returns the memory of results that this process has mapped.
func mappedPages() (u smaps.Usage) {
	u.Add(os.Getpid(), "memfd:concert-result")
	return u
}

// TestMapped_Forms: arrays of all kinds must arrive in a handle. If an array
// is large and has the same type as the handle, it must be in mapped memory.
func TestMapped_Forms(t *testing.T) {
	p := newPool(t, 1, withNumPy(t))
	for _, row := range []struct {
		form   string
		n      int
		mapped bool
	}{
		{"arrays", 100_000, true}, {"views", 100_000, true}, {"arrays", 10_000, false}, {"arrays", 100, false}, {"arrays", 0, false},
		{"lists", 100_000, false}, {"floats", 100_000, false}, {"numpys", 100_000, true}, {"strides", 100_000, true},
	} {
		t.Run(fmt.Sprint(row.form, row.n), func(t *testing.T) {
			w := wanted{row.form, row.n, 3}
			h, err := concert.Submit(t.Context(), p, makeNumbers, w).Result(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(h.Value(), w.numbers()) {
				t.Errorf("the result has %d numbers, which begin with %v", len(h.Value()), h.Value()[:min(3, len(h.Value()))])
			}
			if mapped := mappedPages().Size > 0; mapped != row.mapped {
				t.Errorf("the result is mapped: %v, want %v", mapped, row.mapped)
			}
			h.Close()
			if u := mappedPages(); u != (smaps.Usage{}) {
				t.Errorf("after Close, the result takes %+v", u)
			}
		})
	}
	for _, form := range []string{"blobs", "bytearrays"} {
		h, err := concert.Submit(t.Context(), p, makeBytes, wanted{form, 1 << 20, 0}).Result(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(h.Value()) != 1<<20 || mappedPages().Size != 1<<10 {
			t.Errorf("%s: the result has %d bytes, of which %d KiB are mapped", form, len(h.Value()), mappedPages().Size)
		}
		h.Close()
	}
	if _, err := concert.Submit(t.Context(), p, makeBytes, wanted{"arrays", 100_000, 0}).Result(t.Context()); err == nil {
		t.Error("no error of numbers in a handle of bytes")
	}
	if u := mappedPages(); u != (smaps.Usage{}) {
		t.Errorf("a result with an error takes %+v", u)
	}
}

// TestMapped_Matrix: an array of two dimensions must be refused, as it is
// for a slice.
func TestMapped_Matrix(t *testing.T) {
	p := newPool(t, 1, withNumPy(t))
	if _, err := concert.Submit(t.Context(), p, makeNumbers, wanted{"matrices", 0, 0}).Result(t.Context()); err == nil || !strings.Contains(err.Error(), "use a slice for each dimension") {
		t.Errorf("Result() = %v, want an error of the dimensions", err)
	}
}

// TestMapped_OneCopy: a mapped result must exist in memory only once, and
// the process of the pool must not copy it.
func TestMapped_OneCopy(t *testing.T) {
	p := newPool(t, 1, nil)
	const kb = 32 << 10
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	h, err := concert.Submit(t.Context(), p, makeNumbers, wanted{"arrays", kb << 10 / 8, 0}).Result(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	for i, n := range h.Value() {
		if n != float64(i) {
			t.Fatalf("number %d = %v", i, n)
		}
	}
	runtime.ReadMemStats(&after)
	if u := mappedPages(); u.Size != kb || u.Rss != kb || u.Pss != kb {
		t.Errorf("the result of %d KiB takes %+v, want its size once, and no other process with its pages", kb, u)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > kb<<10/4 {
		t.Errorf("the process of the pool has allocated %d bytes for a result of %d bytes", n, kb<<10)
	}
}

// TestMapped_Threads: several interpreters with several threads send
// results. Each call must get its own result, and results must stay valid
// after the death of a worker.
func TestMapped_Threads(t *testing.T) {
	p := newPool(t, 2, &python.Options{Threads: 4})
	var inputs []wanted
	for i := range 80 {
		inputs = append(inputs, wanted{"arrays", 30_000 + i%2*10_000, i})
	}
	handles, err := concert.Collect(t.Context(), p, makeNumbers, slices.Values(inputs))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := concert.Submit(t.Context(), p, dieNow, 0).Result(t.Context()); err == nil {
		t.Error("the worker did not die")
	}
	for i, h := range handles {
		if !slices.Equal(h.Value(), inputs[i].numbers()) {
			t.Errorf("result %d has %d numbers, which begin with %v", i, len(h.Value()), h.Value()[:3])
		}
		h.Close()
	}
	if u := mappedPages(); u != (smaps.Usage{}) {
		t.Errorf("after Close, the results take %+v", u)
	}
}
