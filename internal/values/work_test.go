package values

import (
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestWork_Small: if Work.Small is set, Encode and Decode must return
// ErrLarge if and only if the value is large. The bytes before the encoding
// must not change, and a later Decode without bounds must succeed.
func TestWork_Small(t *testing.T) {
	type nested struct {
		M map[string][]any
		S []string
	}
	parts := func(n int) any {
		v := nested{M: map[string][]any{}}
		for i := range n {
			v.M["k"] = append(v.M["k"], i)
			v.S = append(v.S, "")
		}
		return &v
	}
	for name, x := range map[string]struct {
		v            any
		encode, both bool // encode: whether the value is small for Encode; both: whether it is small for Decode, too
	}{
		"empty":          {&nested{}, true, true},
		"few parts":      {parts(5000), true, true},
		"many parts":     {parts(10_000), false, false},
		"empty structs":  {new(make([]struct{}, 20_000)), false, false},
		"an array":       {new([20_000][0]int), false, false},
		"nil pointers":   {new(make([]*int, 20_000)), false, false},
		"short text":     {new(any(strings.Repeat("x", SmallBytes-10))), true, true},
		"text":           {new(any(strings.Repeat("x", smallCopied-10))), true, false},
		"long text":      {new(any(strings.Repeat("x", smallCopied))), false, false},
		"numbers":        {&struct{ V []float64 }{make([]float64, smallCopied/8)}, false, false},
		"unexported":     {new(make([]struct{ a [1 << 14]int }, 1000)), false, false}, // zero bytes are added
		"error":          {new(error(fmt.Errorf("x"))), true, true},
		"large error":    {new(error(errors.New(strings.Repeat("x", smallCopied)))), false, false},
		"quick methods":  {new(any(new(big.Int).Lsh(big.NewInt(1), 8*smallCopied))), false, false},
		"names of zones": {new(zones(100)), true, false},
	} {
		c, p := newCodec(), reflect.ValueOf(x.v)
		all, err := c.Encode(nil, p, nil)
		if err != nil {
			t.Fatal(name, err)
		}
		b, err := c.EncodeWithin(Work{Small: true}, []byte("before"), p, nil)
		if x.encode != (err == nil) || err != nil && !errors.Is(err, ErrLarge) || err == nil && len(b) != len(all)+6 || !strings.HasPrefix(string(b), "before") {
			t.Errorf("%s: Encode: %d of %d bytes, %v; want small: %v", name, len(b), len(all), err, x.encode)
		}
		clear(b)
		to := reflect.New(p.Type().Elem())
		if err := c.DecodeWithin(Work{Small: true}, all, to); x.both != (err == nil) || err != nil && !errors.Is(err, ErrLarge) {
			t.Errorf("%s: Decode of %d bytes: %v; want small: %v", name, len(all), err, x.both)
		}
		if err := c.Decode(all, to); err != nil {
			t.Errorf("%s: Decode: %v", name, err)
		}
		if large := Large(p.Elem(), noReference); large && x.both {
			t.Errorf("%s: Large = %v", name, large)
		}
	}
	for name, v := range map[string]any{"many parts": parts(10_000), "numbers": make([]float64, smallCopied/8+1), "texts": []string{"a", strings.Repeat("x", smallCopied)}, "keys": map[string]int{strings.Repeat("x", smallCopied+1): 1}} {
		if !Large(reflect.ValueOf(v), noReference) {
			t.Errorf("Large(%s) = false", name)
		}
	}
	var nothing any
	if Large(reflect.ValueOf(&nothing).Elem(), noReference) {
		t.Error("Large(nil) = true")
	}
}

// TestLarge_Reference: a part that is encoded as a reference counts as small,
// at any depth.
func TestLarge_Reference(t *testing.T) {
	type handle struct{ to *[]float64 }
	numbers := make([]float64, smallCopied)
	v := map[string][]handle{"a": {{&numbers}}}
	isHandle := func(part any) bool { _, ok := part.(handle); return ok }
	if Large(reflect.ValueOf(v), isHandle) || !Large(reflect.ValueOf(v), noReference) {
		t.Error("the value must be large, and small if the handle is a reference")
	}
}

func noReference(any) bool { return false }

// zones returns times in zones that no file describes.
func zones(n int) []time.Time {
	all := make([]time.Time, n)
	for i := range all {
		all[i] = time.Unix(0, 0).In(time.FixedZone(fmt.Sprint("zone ", i), i))
	}
	return all
}

// TestWork_CallEnded: when Work.Over becomes true, Encode and Decode must
// return ErrOver. This must hold even within the fields of an error. If the
// fields of an error cannot be encoded, Encode replaces the error by its
// text. It must not do so here.
func TestWork_CallEnded(t *testing.T) {
	c := newCodec()
	c.Learn(reflect.TypeFor[wrapping]())
	over := new(atomic.Bool)
	list := slicesOf(partsPerLook + 10)
	for name, v := range map[string]any{"list": &list, "map": new(map[string]any{"a": list}), "error": new(error(wrapping{list}))} {
		p := reflect.ValueOf(v)
		over.Store(false)
		b, err := c.EncodeWithin(Work{Over: over}, nil, p, nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		over.Store(true)
		if _, err := c.EncodeWithin(Work{Over: over}, nil, p, nil); !errors.Is(err, ErrOver) {
			t.Errorf("%s: Encode: %v", name, err)
		}
		if err := c.DecodeWithin(Work{Over: over}, b, reflect.New(p.Type().Elem())); !errors.Is(err, ErrOver) {
			t.Errorf("%s: Decode: %v", name, err)
		}
	}
}

// wrapping is an error with a list.
type wrapping struct{ L []any }

func (wrapping) Error() string { return "wrapping" }

func slicesOf(n int) []any {
	all := make([]any, n)
	for i := range all {
		all[i] = i
	}
	return all
}
