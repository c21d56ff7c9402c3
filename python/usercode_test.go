package python

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"os/exec"
	"reflect"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"concert"
	"concert/processes"
)

// deeds blocks methods that hang until a test closes the channel.
var deeds atomic.Pointer[chan struct{}]

// hold makes methods hang until the test ends.
func hold(t *testing.T) {
	gate := make(chan struct{})
	deeds.Store(&gate)
	t.Cleanup(func() { close(gate) })
}

func do(deed string) error {
	switch deed {
	case "panic":
		panic("out of cheese")
	case "goexit":
		runtime.Goexit()
	case "hang":
		<-*deeds.Load()
	case "error":
		return errors.New("refused by a method")
	}
	return nil
}

// Types whose methods do what the value says. All of their fields are exported,
// or they are no structs.
type (
	textDeed  string
	jsonDeed  struct{ Deed string }
	zeroDeed  struct{ Deed string }
	zeroField struct {
		Z zeroDeed `json:",omitzero"`
	}
	zeroPointer struct {
		Z *zeroDeed `json:",omitzero"`
	}
	zeroInterface struct {
		Z interface{ IsZero() bool } `json:",omitzero"`
	}
	pointerZeroDeed  struct{ Deed string }
	pointerZeroField struct {
		Z pointerZeroDeed `json:",omitzero"`
	}
	keyDeed  [1]textDeed
	textedBy struct{ jsonDeed } // by the method of its only field
	stringed string
	tree     struct {
		Kids []tree
		V    any
	}
)

func (d textDeed) MarshalText() ([]byte, error)     { return []byte(d), do(string(d)) }
func (d *textDeed) UnmarshalText(b []byte) error    { *d = textDeed(b); return do(string(b)) }
func (d jsonDeed) MarshalJSON() ([]byte, error)     { return []byte(`"x"`), do(d.Deed) }
func (d *jsonDeed) UnmarshalJSON(b []byte) error    { return do(strings.Trim(string(b), `"`)) }
func (d zeroDeed) IsZero() bool                     { return do(d.Deed) != nil }
func (d *pointerZeroDeed) IsZero() bool             { return do(d.Deed) != nil }
func (d stringed) String() string                   { do(string(d)); return "a stringed" }
func sending[In any](in func(string) In) misbehaver { return sendingTo[In, any](in) }

// misbehaver submits a task with a value whose methods do the deed.
type misbehaver func(ctx context.Context, p *processes.Pool, deed string) func() error

func sendingTo[In, Out any](in func(string) In) misbehaver {
	return func(ctx context.Context, p *processes.Pool, deed string) func() error {
		f := concert.Submit(ctx, p, Func[In, Out]("tasks:echo"), in(deed))
		return func() error {
			_, err := f.Result(context.Background())
			return err
		}
	}
}

func receiving[Out any](in func(string) any) misbehaver { return sendingTo[any, Out](in) }

// misbehavers are all places where the codec calls methods of the program.
func misbehavers() map[string]misbehaver {
	text := func(d string) any { return d }
	return map[string]misbehaver{
		"MarshalText":                 sending(func(d string) textDeed { return textDeed(d) }),
		"MarshalText in a slice":      sending(func(d string) []textDeed { return []textDeed{"x", textDeed(d)} }),
		"MarshalText of a key":        sending(func(d string) map[textDeed]int { return map[textDeed]int{textDeed(d): 1} }),
		"MarshalText in a key":        sending(func(d string) map[keyDeed]int { return map[keyDeed]int{{textDeed(d)}: 1} }),
		"MarshalText in an any":       sending(func(d string) any { return textDeed(d) }),
		"MarshalText in a []any":      sending(func(d string) []any { return []any{1, map[string]any{"a": textDeed(d)}} }),
		"MarshalText of a key, any":   sending(func(d string) map[any]any { return map[any]any{textDeed(d): nil} }),
		"MarshalText in Args":         sending(func(d string) Args { return Args{Args: []any{textDeed(d)}} }),
		"MarshalText in a tree":       sending(func(d string) tree { return tree{Kids: []tree{{V: 1}, {V: textDeed(d)}}} }),
		"MarshalJSON":                 sending(func(d string) *jsonDeed { return &jsonDeed{d} }),
		"MarshalJSON by embedding":    sending(func(d string) textedBy { return textedBy{jsonDeed{d}} }),
		"MarshalJSON in an interface": sending(func(d string) json.Marshaler { return jsonDeed{d} }),
		"IsZero":                      sending(func(d string) zeroField { return zeroField{zeroDeed{d}} }),
		"IsZero in an any":            sending(func(d string) any { return []zeroField{{zeroDeed{d}}} }),
		"IsZero of a pointer":         sending(func(d string) zeroPointer { return zeroPointer{&zeroDeed{d}} }),
		"IsZero in an interface":      sending(func(d string) zeroInterface { return zeroInterface{zeroDeed{d}} }),
		"IsZero with a pointer":       sending(func(d string) pointerZeroField { return pointerZeroField{pointerZeroDeed{d}} }),
		"UnmarshalText":               receiving[textDeed](text),
		"UnmarshalText of a key":      receiving[map[textDeed]int](func(d string) any { return map[string]int{d: 1} }),
		"UnmarshalText in a struct":   receiving[struct{ V *textDeed }](func(d string) any { return map[string]string{"V": d} }),
		"UnmarshalJSON":               receiving[[]jsonDeed](func(d string) any { return []string{"x", d} }),
	}
}

// TestUserCode contains methods that misbehave: only their own task fails,
// within its limits, a task next to it runs, and the pool shuts down.
func TestUserCode(t *testing.T) {
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("there is no python3")
	}
	hold(t)
	p, err := New(1, &Options{Path: []string{"testdata"}, Grace: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	why := errors.New("the reason")
	for name, misbehave := range misbehavers() {
		for deed, want := range map[string]string{"panic": "out of cheese", "goexit": "runtime.Goexit", "hang": "the reason", "error": "refused by a method"} {
			if deed == "error" && strings.HasPrefix(name, "IsZero") {
				continue // it returns no error
			}
			t.Run(name+"/"+deed, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				result := misbehave(ctx, p, deed)
				if n, err := submit(t, p, Func[string, string]("tasks:echo"), "innocent"); err != nil || n != "innocent" {
					t.Fatalf("a task next to it: %v, %v", n, err)
				}
				if deed == "hang" {
					cancel(why)
				}
				if err := result(); err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("the error is %v; want %q", err, want)
				} else if _, panicked := errors.AsType[*concert.PanicError](err); panicked != (deed == "panic") || errors.Is(err, concert.ErrGoexit) != (deed == "goexit") {
					t.Errorf("the error is %#v", err)
				}
			})
		}
	}
	if err := p.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

// TestUserCode_Map contains methods in inputs and results of a Map.
func TestUserCode_Map(t *testing.T) {
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("there is no python3")
	}
	hold(t)
	p, err := New(1, &Options{Path: []string{"testdata"}, Grace: time.Millisecond, Timeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	in := []any{"x", textDeed("goexit"), zeroField{zeroDeed{"panic"}}, jsonDeed{"hang"}, "goexit", "panic", "hang", "y"}
	var got []string
	inputs := func(yield func(any) bool) {
		for _, v := range in {
			if !yield(v) {
				return
			}
		}
	}
	for v, err := range concert.Map(t.Context(), p, Func[any, textDeed]("tasks:echo"), inputs) {
		switch {
		case err == nil:
			got = append(got, string(v))
		case errors.Is(err, concert.ErrGoexit):
			got = append(got, "goexit")
		case errors.Is(err, processes.ErrTimeout):
			got = append(got, "hang")
		case errors.As(err, new(*concert.PanicError)):
			got = append(got, "panic")
		default:
			t.Error(err)
		}
	}
	if want := []string{"x", "goexit", "panic", "hang", "goexit", "panic", "hang", "y"}; !reflect.DeepEqual(got, want) {
		t.Errorf("the outcomes are %q; want %q", got, want)
	}
}

// TestMethods_Types: only values whose methods the codec calls need a goroutine
// of their own.
func TestMethods_Types(t *testing.T) {
	for _, c := range []struct {
		v               any // a pointer to the value
		always, depends bool
		holds           bool
	}{
		{new(int), false, false, false}, {new([]string), false, false, false}, {&map[string]stringed{"a": ""}, false, false, false},
		{new(time.Time), false, false, false}, {new(big.Int), false, false, false}, {new(big.Rat), false, false, false}, {new(netip.Addr), false, false, false}, {new(json.RawMessage), false, false, false},
		{new(Decimal), false, false, false}, {new(Array[float64]), false, false, false}, {new(time.Duration), false, false, false},
		{&struct {
			T time.Time `json:",omitzero"`
		}{}, false, false, false},
		{new(any), false, true, false}, {new(Args), false, true, false}, {&[]any{1, "x", nil, []any{time.Now()}}, false, true, false},
		{&[]any{[1]any{textDeed("")}}, false, true, true}, {&map[any]int{textDeed(""): 1}, false, true, true}, {&struct{ V fmt.Stringer }{stringed("")}, false, true, false},
		{&tree{V: 1}, false, true, false}, {&tree{Kids: []tree{{V: &jsonDeed{}}}}, false, true, true},
		{new(textDeed), true, false, true}, {new(*textDeed), true, false, true}, {new([]map[textDeed]int), true, false, true}, {new(zeroField), true, false, true},
		{new(zeroDeed), false, false, false}, {new(streamed[textDeed]), true, false, true},
	} {
		v := reflect.ValueOf(c.v)
		if always, depends := (codec{}).Methods(v.Type().Elem()); always != c.always || depends != c.depends && !always {
			t.Errorf("Methods(%v) = %v, %v; want %v, %v", v.Type().Elem(), always, depends, c.always, c.depends)
		}
		if holds := (codec{}).HoldsMethods(v); holds != c.holds {
			t.Errorf("HoldsMethods(%v) = %v", v, holds)
		}
	}
	many := make([]any, 2*maxInspected)
	if !(codec{}).HoldsMethods(reflect.ValueOf(&many)) {
		t.Errorf("a value with many parts counts as one without methods")
	}
}

// TestKeyText: the keys in errors are texts that no method of the program
// makes.
func TestKeyText(t *testing.T) {
	for _, c := range []struct {
		key  any
		want string
	}{
		{"a", `["a"]`}, {stringed("panic"), `["panic"]`}, {textDeed("goexit"), `["goexit"]`}, {-1, "[-1]"}, {uint8(7), "[7]"}, {true, "[true]"}, {float32(0.1), "[0.1]"}, {1i, "[(0+1i)]"},
		{[2]any{stringed("goexit"), nil}, `[["goexit" nil]]`}, {time.Hour, "[1h0m0s]"}, {netip.MustParseAddr("::1"), "[::1]"}, {jsonDeed{"panic"}, "[python.jsonDeed]"}, {new(int), "[*int]"},
		{strings.Repeat("x", 100), `["` + strings.Repeat("x", 79) + "...]"},
	} {
		if got := keyed(reflect.ValueOf(&c.key).Elem()); got != c.want {
			t.Errorf("the key %T is %s; want %s", c.key, got, c.want)
		}
	}
}
