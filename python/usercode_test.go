package python

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"reflect"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"concert"
	"concert/internal/pythontest"
	"concert/processes"
)

// blocked contains a channel. Methods that hang return when a test closes the
// channel.
var blocked atomic.Pointer[chan struct{}]

// hold makes the methods of values block until the test ends.
func hold(t *testing.T) {
	gate := make(chan struct{})
	blocked.Store(&gate)
	t.Cleanup(func() { close(gate) })
}

func do(how string) error {
	switch how {
	case "panic":
		panic("out of cheese")
	case "goexit":
		runtime.Goexit()
	case "hang":
		<-*blocked.Load()
	case "error":
		return errors.New("refused by a method")
	}
	return nil
}

// The methods of these types fail in the way that the value names. Either
// all of their fields are exported, or they are not structs.
type (
	badText   string
	badJSON   struct{ How string }
	badZero   struct{ How string }
	zeroField struct {
		Z badZero `json:",omitzero"`
	}
	zeroPointer struct {
		Z *badZero `json:",omitzero"`
	}
	zeroInterface struct {
		Z interface{ IsZero() bool } `json:",omitzero"`
	}
	badPointerZero   struct{ How string }
	pointerZeroField struct {
		Z badPointerZero `json:",omitzero"`
	}
	badKey   [1]badText
	textedBy struct{ badJSON } // encoded by the method of its only field
	stringed string
	tree     struct {
		Kids []tree
		V    any
	}
)

func (d badText) MarshalText() ([]byte, error)      { return []byte(d), do(string(d)) }
func (d *badText) UnmarshalText(b []byte) error     { *d = badText(b); return do(string(b)) }
func (d badJSON) MarshalJSON() ([]byte, error)      { return []byte(`"x"`), do(d.How) }
func (d *badJSON) UnmarshalJSON(b []byte) error     { return do(strings.Trim(string(b), `"`)) }
func (d badZero) IsZero() bool                      { return do(d.How) != nil }
func (d *badPointerZero) IsZero() bool              { return do(d.How) != nil }
func (d stringed) String() string                   { do(string(d)); return "a stringed" }
func sending[In any](in func(string) In) misbehaver { return sendingTo[In, any](in) }

// misbehaver submits a task with a value whose methods misbehave.
type misbehaver func(ctx context.Context, p *processes.Pool, how string) func() error

func sendingTo[In, Out any](in func(string) In) misbehaver {
	return func(ctx context.Context, p *processes.Pool, how string) func() error {
		f := concert.Submit(ctx, p, Func[In, Out]("tasks:echo"), in(how))
		return func() error {
			_, err := f.Result(context.Background())
			return err
		}
	}
}

func receiving[Out any](in func(string) any) misbehaver { return sendingTo[any, Out](in) }

// misbehavers returns a misbehaver for each place where the codec calls methods
// of the program.
func misbehavers() map[string]misbehaver {
	text := func(d string) any { return d }
	return map[string]misbehaver{
		"MarshalText":                 sending(func(d string) badText { return badText(d) }),
		"MarshalText in a slice":      sending(func(d string) []badText { return []badText{"x", badText(d)} }),
		"MarshalText of a key":        sending(func(d string) map[badText]int { return map[badText]int{badText(d): 1} }),
		"MarshalText in a key":        sending(func(d string) map[badKey]int { return map[badKey]int{{badText(d)}: 1} }),
		"MarshalText in an any":       sending(func(d string) any { return badText(d) }),
		"MarshalText in a []any":      sending(func(d string) []any { return []any{1, map[string]any{"a": badText(d)}} }),
		"MarshalText of a key, any":   sending(func(d string) map[any]any { return map[any]any{badText(d): nil} }),
		"MarshalText in Args":         sending(func(d string) Args { return Args{Args: []any{badText(d)}} }),
		"MarshalText in a tree":       sending(func(d string) tree { return tree{Kids: []tree{{V: 1}, {V: badText(d)}}} }),
		"MarshalJSON":                 sending(func(d string) *badJSON { return &badJSON{d} }),
		"MarshalJSON by embedding":    sending(func(d string) textedBy { return textedBy{badJSON{d}} }),
		"MarshalJSON in an interface": sending(func(d string) json.Marshaler { return badJSON{d} }),
		"IsZero":                      sending(func(d string) zeroField { return zeroField{badZero{d}} }),
		"IsZero in an any":            sending(func(d string) any { return []zeroField{{badZero{d}}} }),
		"IsZero of a pointer":         sending(func(d string) zeroPointer { return zeroPointer{&badZero{d}} }),
		"IsZero in an interface":      sending(func(d string) zeroInterface { return zeroInterface{badZero{d}} }),
		"IsZero with a pointer":       sending(func(d string) pointerZeroField { return pointerZeroField{badPointerZero{d}} }),
		"UnmarshalText":               receiving[badText](text),
		"UnmarshalText of a key":      receiving[map[badText]int](func(d string) any { return map[string]int{d: 1} }),
		"UnmarshalText in a struct":   receiving[struct{ V *badText }](func(d string) any { return map[string]string{"V": d} }),
		"UnmarshalJSON":               receiving[[]badJSON](func(d string) any { return []string{"x", d} }),
	}
}

// TestUserCode_Misbehaves: if a method of a value fails in any way, only the
// task with this value may fail. Another task must be able to run at the
// same time, and Shutdown must return.
func TestUserCode_Misbehaves(t *testing.T) {
	pythontest.Need(t)
	hold(t)
	p, err := New(1, &Options{Path: []string{"testdata"}, Grace: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	why := errors.New("the reason")
	for name, misbehave := range misbehavers() {
		for how, want := range map[string]string{"panic": "out of cheese", "goexit": "runtime.Goexit", "hang": "the reason", "error": "refused by a method"} {
			if how == "error" && strings.HasPrefix(name, "IsZero") {
				continue // IsZero returns no error
			}
			t.Run(name+"/"+how, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				result := misbehave(ctx, p, how)
				if n, err := submit(t, p, Func[string, string]("tasks:echo"), "innocent"); err != nil || n != "innocent" {
					t.Fatalf("a task next to it: %v, %v", n, err)
				}
				if how == "hang" {
					cancel(why)
				}
				if err := result(); err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("the error is %v; want %q", err, want)
				} else if _, panicked := errors.AsType[*concert.PanicError](err); panicked != (how == "panic") || errors.Is(err, concert.ErrGoexit) != (how == "goexit") {
					t.Errorf("the error is %#v", err)
				}
			})
		}
	}
	if err := p.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

// TestUserCode_MisbehavesInMap: if a method of an input or a result of a Map
// fails in any way, only this item may fail.
func TestUserCode_MisbehavesInMap(t *testing.T) {
	t.Parallel()
	pythontest.Need(t)
	hold(t)
	p, err := New(1, &Options{Path: []string{"testdata"}, Grace: time.Millisecond, Timeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	in := []any{"x", badText("goexit"), zeroField{badZero{"panic"}}, badJSON{"hang"}, "goexit", "panic", "hang", "y"}
	var got []string
	inputs := func(yield func(any) bool) {
		for _, v := range in {
			if !yield(v) {
				return
			}
		}
	}
	for v, err := range concert.Map(t.Context(), p, Func[any, badText]("tasks:echo"), inputs) {
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

// TestUserCode_Types: Methods and HoldsMethods must report whether the codec
// may call methods of the program for a value.
func TestUserCode_Types(t *testing.T) {
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
		{&[]any{[1]any{badText("")}}, false, true, true}, {&map[any]int{badText(""): 1}, false, true, true}, {&struct{ V fmt.Stringer }{stringed("")}, false, true, false},
		{&tree{V: 1}, false, true, false}, {&tree{Kids: []tree{{V: &badJSON{}}}}, false, true, true},
		{new(badText), true, false, true}, {new(*badText), true, false, true}, {new([]map[badText]int), true, false, true}, {new(zeroField), true, false, true},
		{new(badZero), false, false, false}, {new(streamed[badText]), true, false, true},
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
		t.Errorf("HoldsMethods is false for a value with more than maxInspected parts")
	}
}

// TestKeyText_NoUserCode: when the codec writes keys in errors, it must not
// call methods of the program.
func TestKeyText_NoUserCode(t *testing.T) {
	for _, c := range []struct {
		key  any
		want string
	}{
		{"a", `["a"]`}, {stringed("panic"), `["panic"]`}, {badText("goexit"), `["goexit"]`}, {-1, "[-1]"}, {uint8(7), "[7]"}, {true, "[true]"}, {float32(0.1), "[0.1]"}, {1i, "[(0+1i)]"},
		{[2]any{stringed("goexit"), nil}, `[["goexit" nil]]`}, {time.Hour, "[1h0m0s]"}, {netip.MustParseAddr("::1"), "[::1]"}, {badJSON{"panic"}, "[python.badJSON]"}, {new(int), "[*int]"},
		{strings.Repeat("x", 100), `["` + strings.Repeat("x", 79) + "...]"},
	} {
		if got := keyed(reflect.ValueOf(&c.key).Elem()); got != c.want {
			t.Errorf("the key %T is %s; want %s", c.key, got, c.want)
		}
	}
}
