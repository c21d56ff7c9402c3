package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"concert"
	"concert/executortest"
	"concert/processes"
)

// TestMain makes Node.js start quickly. If the variable NODE_EXTRA_CA_CERTS is
// set, each start reads all certificates of the system. This takes more
// processor time than the rest of the start. The tests need no certificates.
func TestMain(m *testing.M) {
	os.Unsetenv("NODE_EXTRA_CA_CERTS")
	os.Exit(m.Run())
}

// command returns the command of the workers. It skips the test on a machine
// without Node.js, so that the tests of the repository pass with Go alone. The
// script .ci/run installs Node.js or fails, so no test is skipped there.
func command(t *testing.T, functions string) []string {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("there is no node")
	}
	return []string{"node", "worker.js", functions}
}

func newPool(t *testing.T, n int, functions string, o processes.Options) *processes.Pool {
	t.Helper()
	o.Command = command(t, functions)
	ex, err := processes.New(n, &o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ex.Close() })
	return ex
}

// TestConformance runs the suite of concert's own executors on the worker in
// JavaScript, with several threads in one process. The functions of the suite
// are in testdata/conformance.js.
func TestConformance(t *testing.T) {
	if testing.Short() {
		t.Skip("not with -short: it takes half a minute")
	}
	newPool(t, 1, "testdata/conformance.js", processes.Options{}).Close() // the first pool starts goroutines that later pools use; if the suite started them, it would report them as leaks
	executortest.Run(t, executortest.Traits{Kills: true, Foreign: true, Expired: processes.ErrTimeout}, func(c executortest.Config) concert.Executor {
		return newPool(t, 1, "testdata/conformance.js", processes.Options{Threads: c.Workers, Queue: c.Queue, Grace: c.Grace, Timeout: c.Timeout, Observer: c.Observer})
	})
}

func TestTask_Prices(t *testing.T) {
	command(t, "")
	ex, closed, err := open(1, 1, "prices.js")
	if err != nil {
		t.Fatal(err)
	}
	text, err := concert.Submit(t.Context(), ex, money, price{1234.5, "EUR", "de-DE"}).Result(t.Context())
	if want := "1.234,50\u00a0€"; text != want || err != nil {
		t.Errorf("money() = %q, %v; want %q", text, err, want)
	}
	_, err = concert.Submit(t.Context(), ex, money, price{1, "EURO", "de-DE"}).Result(t.Context())
	if e, ok := errors.AsType[*Error](err); !ok || e.Name != "RangeError" || !strings.Contains(e.Stack, "prices.js") {
		t.Errorf("error = %v, want a RangeError in prices.js", err)
	}
	if err := closed(); err != nil {
		t.Error(err)
	}
	if code, err := show(t.Context(), []string{"1,5"}); code != 2 || err == nil {
		t.Errorf("show() of a text that is no number = %d, %v", code, err)
	}
}

// same sends values to JavaScript, and compares the results with these values.
func same[T any](t *testing.T, ex *processes.Pool, vs ...T) {
	t.Helper()
	echo := Func[T, T](fmt.Sprintf("echo %T", *new(T)))
	for _, v := range vs {
		got, err := concert.Submit(t.Context(), ex, echo, v).Result(t.Context())
		if err != nil || !reflect.DeepEqual(got, v) {
			t.Errorf("%T %v returned as %v, %v", v, v, got, err)
		}
	}
}

// TestValues_RoundTrip: if a function in JavaScript returns its argument, the
// value must return unchanged.
func TestValues_RoundTrip(t *testing.T) {
	ex := newPool(t, 1, "testdata/functions.js", processes.Options{})
	same[any](t, ex, nil, "x", map[string]any{"a": []any{true, nil, 1.5}})
	same(t, ex, 0, -1, 1<<53+1, math.MaxInt64, math.MinInt64)
	same[uint64](t, ex, 0, 1<<63, math.MaxUint64)
	same(t, ex, 0.5, 3, math.Inf(-1), math.MaxFloat64)
	same(t, ex, true, false)
	same(t, ex, "", "héllo ☃ 𝄞")
	same(t, ex, []byte("a\xff\x00"), []byte{}, bytes.Repeat([]byte("long"), 1<<20))
	same(t, ex, []float64{1, math.Inf(1), -2.5}, []float64{})
	same(t, ex, []int64{math.MinInt64, 5})
	same(t, ex, []int32{math.MinInt32, 5})
	same(t, ex, price{1.5, "EUR", "de-DE"})
	half := Func[[]float64, []float64]("half")
	big := make([]float64, 1<<20)
	for i := range big {
		big[i] = float64(2 * i)
	}
	got, err := concert.Submit(t.Context(), ex, half, big).Result(t.Context())
	if err != nil || len(got) != len(big) || got[77777] != 77777 {
		t.Errorf("half() = %d numbers, %v", len(got), err)
	}
}

// series has fields for which CBOR needs tags: an array of numbers, a time, and
// an interface that holds a named type.
type series struct {
	Values []float64
	Counts [20]int32
	At     time.Time
	Unit   any
}

type unit string

var describe = concert.Register("describe", func(_ context.Context, s series) (string, error) { return string(s.Unit.(unit)), nil })

func init() { concert.RegisterType[unit]("unit") }

// TestValues_Tags: if an argument has fields for which CBOR needs tags, the
// fields must arrive in JavaScript with their values.
func TestValues_Tags(t *testing.T) {
	ex := newPool(t, 1, "testdata/functions.js", processes.Options{})
	in := series{make([]float64, 100), [20]int32{19: 7}, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), unit("EUR")}
	in.Values[99] = 1.5
	got, err := concert.Submit(t.Context(), ex, describe, in).Result(t.Context())
	if want := "100 1.5 20 7 2026-01-02T03:04:05.000Z EUR"; got != want || err != nil {
		t.Errorf("describe() = %q, %v; want %q", got, err, want)
	}
}

var fail = Func[string, any]("fail")

// TestTask_Fails: if a function throws an error, ends its thread or its
// process, or does not return, its task must fail with the reason, and the next
// task must succeed.
func TestTask_Fails(t *testing.T) {
	ex := newPool(t, 1, "testdata/functions.js", processes.Options{Timeout: 2 * time.Second, Grace: 100 * time.Millisecond, MaxResult: 1000})
	for how, want := range map[string]string{
		"throw":    "RangeError: too far",
		"text":     "string: only text",
		"exit":     "Error: the function ended its thread",
		"later":    "Error: when nobody asks",
		"function": "TypeError: a function cannot be sent: return plain data",
		"circle":   "TypeError: Converting circular structure to JSON",

		"half a character":        "TypeError: a string with a lone surrogate cannot be sent: \"\\ud83d\"",
		"half a character within": "TypeError: a string with a lone surrogate cannot be sent: \"x\\udc00\"",
		"half a key":              "TypeError: a string with a lone surrogate cannot be sent: \"\\ud83d\"",
		"not a number":            "TypeError: NaN at \"price\" cannot be sent",
		"a map":                   "TypeError: a Map at \"0\" cannot be sent",
	} {
		t.Run(how, func(t *testing.T) {
			_, err := concert.Submit(t.Context(), ex, fail, how).Result(t.Context())
			if e, ok := errors.AsType[*Error](err); !ok || !strings.HasPrefix(e.Error(), want) {
				t.Errorf("%s: %v; want %q", how, err, want)
			}
		})
	}
	if got, err := concert.Submit(t.Context(), ex, Func[string, string]("fail"), "caf\xe9").Result(t.Context()); err == nil {
		t.Errorf("a string that is not UTF-8 returned as %q", got)
	}
	_, err := concert.Submit(t.Context(), ex, Func[int, int]("missing"), 1).Result(t.Context())
	if err == nil || !strings.Contains(err.Error(), "there is no function missing") {
		t.Errorf("a function that is missing: %v", err)
	}
	_, err = concert.Submit(t.Context(), ex, fail, "long").Result(t.Context())
	if e, ok := errors.AsType[*Error](err); !ok || !strings.HasPrefix(e.Error(), "Error: long long") || !strings.HasSuffix(e.Error(), "long  ... (9900000 characters more)") {
		t.Errorf("a message of 10 MB: %.30v ... %q", err, e.Error()[max(0, len(e.Error())-60):])
	}
	_, err = concert.Submit(t.Context(), ex, fail, "abort").Result(t.Context())
	if e, ok := errors.AsType[*processes.WorkerError](err); !ok || e.Signal != syscall.SIGABRT {
		t.Errorf("abort: %v; want a WorkerError", err)
	}
	_, err = concert.Submit(t.Context(), ex, fail, "spin").Result(t.Context())
	if !errors.Is(err, processes.ErrTimeout) {
		t.Errorf("spin: %v; want ErrTimeout", err)
	}
	if v, err := concert.Submit(t.Context(), ex, fail, "nothing").Result(t.Context()); v != "nothing" || err != nil {
		t.Errorf("afterwards: %v, %v", v, err)
	}
}

// TestNew_BrokenModule: if a module cannot be loaded, New must return the
// reason.
func TestNew_BrokenModule(t *testing.T) {
	_, err := processes.New(1, &processes.Options{Command: command(t, "testdata/missing.js")})
	if err == nil || !strings.Contains(err.Error(), "Cannot find module") {
		t.Errorf("New() = %v", err)
	}
}
