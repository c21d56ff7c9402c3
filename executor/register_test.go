package executor_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"concert"
	"concert/executor"
	"concert/internal/loopback"
)

type shape struct{ side int }

func (s shape) area(_ context.Context, n int) (int, error) { return s.side * n, nil }

func twice[T int | float64](_ context.Context, v T) (T, error) { return v + v, nil }

func plain(_ context.Context, n int) (int, error) { return n, nil }

func closure(factor int) func(context.Context, int) (int, error) {
	return func(_ context.Context, n int) (int, error) { return factor * n, nil }
}

var (
	_        = concert.Register("test.plain", plain)
	triple   = concert.Register("test.triple", closure(3))
	fivefold = concert.Register("test.fivefold", closure(5))
	area     = concert.Register("test.area", shape{7}.area)
	twiceInt = concert.Register("test.twice", twice[int])
)

// TestRegister_FindsFunction: a remote executor finds a registered function of
// any kind, and refuses functions that are not registered.
func TestRegister_FindsFunction(t *testing.T) {
	ex := loopback.New(2, loopback.Options{})
	defer ex.Close()
	for name, c := range map[string]struct {
		fn   func(context.Context, int) (int, error)
		want int // 0 for ErrNotRegistered
	}{
		"by its code":                 {plain, 10},
		"closure":                     {triple, 30},
		"another of the same code":    {fivefold, 50},
		"a closure like them":         {closure(3), 0},
		"method value":                {area, 70},
		"the same method value again": {shape{7}.area, 0},
		"generic":                     {twiceInt, 20},
		"unregistered":                {square, 0},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := concert.Submit(t.Context(), ex, c.fn, 10).Result(t.Context())
			if c.want != 0 && (got != c.want || err != nil) {
				t.Errorf("%s: %d, %v; want %d", name, got, err, c.want)
			}
			if c.want == 0 && (!errors.Is(err, concert.ErrNotRegistered) || !strings.Contains(err.Error(), "_test.")) {
				t.Errorf("%s: %d, %v; want ErrNotRegistered with the function's name", name, got, err)
			}
		})
	}
}

// halfText is a type that cannot be decoded.
type halfText struct{ text string }

func (h halfText) MarshalText() ([]byte, error) { return []byte(h.text), nil }

func TestRegister_Misuse(t *testing.T) {
	for name, misuse := range map[string]func(){
		"taken":       func() { concert.Register("test.plain", plain) },
		"empty":       func() { concert.Register("", plain) },
		"nil":         func() { concert.Register[int, int]("test.nil", nil) },
		"error taken": func() { concert.RegisterError("io.EOF", errors.New("another")) },
		"nil error":   func() { concert.RegisterError("test.nilError", nil) },
		"empty type":  func() { concert.RegisterErrorType[*concert.ShutdownError]("") },
		"half": func() {
			concert.Register("test.half", func(context.Context, map[string]halfText) (int, error) { return 0, nil })
		},
		"channel": func() {
			concert.Register("test.channel", func(context.Context, struct{ C []chan int }) (int, error) { return 0, nil })
		},
		"function": func() {
			concert.Register("test.function", func(context.Context, int) (func(), error) { return nil, nil })
		},
		"two names": func() {
			concert.Register("test.twoNames", func(context.Context, twoNames) (int, error) { return 0, nil })
		},
		"mute error": func() { concert.RegisterErrorType[*muteError]("test.muteError") },
		"interface": func() {
			concert.RegisterErrorType[interface {
				error
				Code() int
			}]("test.interface")
		},
		"type's name": func() { concert.RegisterType[record]("[]x") },
		"type":        func() { concert.RegisterType[chan int]("test.chan") },
	} {
		t.Run(name, func(t *testing.T) {
			func() {
				defer func() {
					if v := recover(); v == nil || !strings.HasPrefix(fmt.Sprint(v), "concert: Register") {
						t.Errorf("%s: panic %v, want one that names Register", name, v)
					}
				}()
				misuse()
			}()
		})
	}
	if _, err := executor.Invoke(t.Context(), "nobody", executor.Encoded{}); !errors.Is(err, concert.ErrNotRegistered) {
		t.Errorf("Invoke of an unknown name = %v, want ErrNotRegistered", err)
	}
}

type twoNames struct {
	A int `json:"b"`
	B int `cbor:"b"`
}

type muteError struct{ text string }

func (e *muteError) Error() string { return e.text }

type record struct {
	Name   string
	When   time.Time
	Inner  map[string][]float64
	Ptr    *record
	Any    any
	hidden int
}

var echoRecord = concert.Register("test.echoRecord", func(_ context.Context, r record) (record, error) { return r, nil })

func TestRegister_StructArgument(t *testing.T) {
	ex := loopback.New(1, loopback.Options{})
	defer ex.Close()
	in := record{Name: "x\xff", When: time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC),
		Inner: map[string][]float64{"a": {1.5, 2}}, Ptr: &record{Name: "y"}, Any: []any{uint64(1), "z", nil}}
	got, err := concert.Submit(t.Context(), ex, echoRecord, in).Result(t.Context())
	if err != nil || !reflect.DeepEqual(got, in) {
		t.Errorf("echoRecord(%+v) = %+v, %v", in, got, err)
	}
	in.Ptr.hidden = 9
	_, err = concert.Submit(t.Context(), ex, echoRecord, in).Result(t.Context())
	if err == nil || !strings.Contains(err.Error(), "record.Ptr.hidden") {
		t.Errorf("with an unexported field that is not zero: %v; want an error with its path", err)
	}
}

// TestFunction_InvokeInto: InvokeInto stores a number in the memory of the
// caller.
func TestFunction_InvokeInto(t *testing.T) {
	f, err := executor.Find("test.plain")
	if err != nil {
		t.Fatal(err)
	}
	_, arg, err := executor.Prepare(plain, 7)
	if err != nil {
		t.Fatal(err)
	}
	buf := append(make([]byte, 0, 16), "abc"...)
	result, err := f.InvokeInto(t.Context(), arg, buf)
	if err != nil || !reflect.DeepEqual(result, arg) {
		t.Fatalf("InvokeInto() = %v, %v; want %v", result, err, arg)
	}
	if &result.Bytes[0] != &buf[:4][3] {
		t.Error("the bytes of the result are not those after buf")
	}
	if allocated := testing.AllocsPerRun(100, func() { f.InvokeInto(t.Context(), arg, buf) }); allocated > 0 {
		t.Errorf("%v allocations for each call", allocated)
	}
}
