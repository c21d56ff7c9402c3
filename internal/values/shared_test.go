package values

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"concert/internal/sharedtest"
)

type (
	pairOf[T any] struct{ A, B *T }
	four[T any]   = pairOf[pairOf[pairOf[pairOf[T]]]]
)

// TestShared_Refused: if a copy of a value would contain far too many copies of
// the same data, Encode must fail. The test would not end if Encode made the
// copies.
func TestShared_Refused(t *testing.T) {
	for name, v := range sharedtest.Refused() {
		t.Run(name, func(t *testing.T) {
			c := newCodec()
			if name != "pointers" && name != "end" {
				c.maxCopied = 1 << 20
			}
			c.maxBytes = 1 << 27
			c.Learn(reflect.TypeFor[sharedtest.Boxes]())
			c.Learn(reflect.TypeOf(v))
			b, err := c.Encode(nil, reflectPtr(reflect.ValueOf(v)), nil)
			if err == nil || !strings.Contains(err.Error(), "refers many times to the same data") || !strings.Contains(err.Error(), "keep shared data once") || b != nil {
				t.Errorf("%d bytes, %v", len(b), err)
			}
			if path := map[string]string{"pointers": ".Right", "array": ".Kids[1]", "slices": ".Kids[1]", "list": "[1]", "rows": "[", "end": ".L.Left", "structs in interfaces": ".Right", "arrays in interfaces": ")[1]"}[name]; err != nil && !strings.Contains(err.Error(), path) {
				t.Errorf("%v; want the path %s", err, path)
			}
		})
	}
}

// TestShared_Exact: a value that shares less data than the values of
// TestShared_Refused must arrive unchanged.
func TestShared_Exact(t *testing.T) {
	all := sharedtest.Levels(12)
	large := make([]byte, 1<<20)
	all["rows"] = [][]byte{large, large, large, large, large[:100], large[:1000]}
	texts := make([]string, 4)
	for i := range texts {
		texts[i] = strings.Repeat("x", 1<<19)
	}
	all["texts"] = texts // equal texts; the encoder does not detect that strings share memory
	all["generic"] = four[four[int]]{}
	for name, v := range all {
		t.Run(name, func(t *testing.T) {
			c := newCodec()
			c.sharedFrom = 1000
			c.Learn(reflect.TypeFor[sharedtest.Boxes]())
			c.Learn(reflect.TypeOf(v))
			sameMemory(t, c, reflectPtr(reflect.ValueOf(v)))
		})
	}
}

// TestShared_Error: if an error value refers too often to the same data, or
// is too long, Encode must fail as for any other value. This must hold even
// if the interface that contains the error has methods.
func TestShared_Error(t *testing.T) {
	c := newCodec()
	c.maxBytes = 1 << 27
	c.Learn(reflect.TypeFor[errTwo]())
	c.Learn(reflect.TypeFor[*errShared]())
	for name, one := range map[string]error{"nil": nil, "lost": &errShared{Func: func() {}}} {
		for range 60 {
			one = errTwo{one, one}
		}
		if b, err := c.Encode(nil, reflect.ValueOf(&one), nil); err == nil || !strings.Contains(err.Error(), "refers many times to the same data, such as this values.errTwo") || b != nil {
			t.Errorf("%s: %d bytes, %v", name, len(b), err)
		}
	}
	c.maxBytes = 1000
	long := error(errTwo{&errText{strings.Repeat("x", 1000)}, nil})
	c.Learn(reflect.TypeFor[*errText]())
	if b, err := c.Encode(nil, reflect.ValueOf(&long), nil); err == nil || !strings.Contains(err.Error(), "error.Left.Text: the value has more than 1000 bytes") {
		t.Errorf("too long: %d bytes, %v", len(b), err)
	}
	c = newCodec()
	c.Learn(reflect.TypeFor[errTwo]())
	var two error
	c.sharedFrom = 0
	for range 12 {
		two = errTwo{two, two}
	}
	sameMemory(t, c, reflect.ValueOf(&two))
}

type errTwo struct{ Left, Right error }

func (errTwo) Error() string { return "two" }

type errText struct{ Text string }

func (*errText) Error() string { return "text" }

// TestShared_Random: random values that contain the same data several times
// must arrive unchanged.
func TestShared_Random(t *testing.T) {
	c := newCodec()
	c.sharedFrom = 0
	for seed := range uint64(1000) {
		r := random{rand.New(rand.NewPCG(seed, 0))}
		one := randomValue(seed).Elem()
		all := reflect.New(reflect.SliceOf(one.Type()))
		for range 3 {
			all.Elem().Set(reflect.Append(all.Elem(), one))
		}
		if r.IntN(2) == 0 {
			all = reflectPtr(reflect.ValueOf([]any{all.Interface(), all.Interface()}))
			if _, err := c.nameOf(reflect.PointerTo(reflect.SliceOf(one.Type()))); err != nil {
				continue
			}
		}
		if sameMemory(t, c, all); t.Failed() {
			t.Fatal("seed ", seed)
		}
	}
}

// TestShared_Share: Encode must accept a few copies of the same data in any
// value. If a value has enough other data, Encode must accept many copies,
// too. Otherwise it must refuse them.
func TestShared_Share(t *testing.T) {
	c := newCodec()
	c.sharedFrom, c.maxCopied = 1, 10_000
	row := func() []byte { return make([]byte, 1000) }
	shared := row()
	for _, x := range []struct {
		own, copies int
		want        bool
	}{{1, 20, true}, {1, 40, false}, {10, 80, true}, {10, 150, false}} {
		in := [][]byte{row(), shared}
		for range x.own {
			in = append(in, row())
		}
		for range x.copies {
			in = append(in, shared)
		}
		if _, err := c.Encode(nil, reflect.ValueOf(&in), nil); (err == nil) != x.want {
			t.Errorf("%d rows and %d copies: %v", x.own, x.copies, err)
		}
	}
}

// TestShared_Once: if several references refer to the same data, and the
// encoding of the data has at least minPart bytes, Encode must encode the
// data only once.
func TestShared_Once(t *testing.T) {
	c := newCodec()
	c.sharedFrom = 1
	count := 0
	x := &counted{&count, strings.Repeat("x", 2*minPart)}
	small := &counted{&count, ""}
	in := []any{1, x, x, []*counted{x, x}, &x, small, small}
	c.Learn(reflect.TypeFor[counted]())
	sameMemory(t, c, reflect.ValueOf(&[]any{1}))
	if _, err := c.Encode(nil, reflect.ValueOf(&in), nil); err != nil || count != 3 {
		t.Errorf("the method was called %d times, %v; want once for the large value and twice for the small one", count, err)
	}
}

type counted struct {
	count *int
	text  string
}

func (c counted) MarshalText() ([]byte, error) { *c.count++; return []byte(c.text), nil }
func (c *counted) UnmarshalText([]byte) error  { return nil }

// TestShared_Depth: if a copied part makes the encoding deeper than MaxDepth,
// Encode must fail.
func TestShared_Depth(t *testing.T) {
	deep := &node{}
	for range MaxDepth / 4 {
		deep = &node{Next: deep}
	}
	c := newCodec()
	c.Learn(reflect.TypeFor[node]())
	c.sharedFrom = 0
	for _, x := range []struct {
		above int
		want  string
	}{{10, ""}, {MaxDepth/4 + 100, "nested more than"}} {
		var second any = deep
		for range x.above {
			second = []any{second}
		}
		_, err := c.Encode(nil, reflect.ValueOf(&[]any{deep, []any{deep}, second}), nil)
		if (err == nil) != (x.want == "") || err != nil && !strings.Contains(err.Error(), x.want) {
			t.Errorf("%d levels above: %v; want %q", x.above, err, x.want)
		}
	}
	// Here, the part that is copied contains a copy of another part.
	wrapped := []any{deep}
	var third any = wrapped
	for range MaxDepth/4 + 100 {
		third = []any{third}
	}
	if _, err := c.Encode(nil, reflect.ValueOf(&[]any{deep, wrapped, third}), nil); err == nil || !strings.Contains(err.Error(), "nested more than") {
		t.Errorf("a part of a part: %v", err)
	}
}

// errShared is an error that cannot be encoded by its fields.
type errShared struct {
	Data []string
	Func any
}

func (*errShared) Error() string { return "shared" }

// TestShared_Removed: if the encoder has removed bytes from the encoding, it
// must not copy these bytes for a later reference to the same data.
func TestShared_Removed(t *testing.T) {
	c := newCodec()
	c.sharedFrom = 0
	c.Learn(reflect.TypeFor[errShared]())
	data := []string{strings.Repeat("x", 1000)}
	in := []any{error(&errShared{data, func() {}}), data, data}
	c.Learn(reflect.TypeOf(data))
	got, err := trip(c, reflect.ValueOf(&struct {
		E    error
		List []any
	}{in[0].(error), in[1:]}))
	if err != nil {
		t.Fatal(err)
	}
	reader, err := trip(c, reflect.ValueOf(&struct{ E interface{ Error() string } }{in[0].(error)}))
	if err != nil || reader.Elem().Field(0).Interface().(error).Error() != "shared" {
		t.Errorf("in another interface, the error became %v, %v", reader, err)
	}
	if list := got.Elem().Field(1).Interface(); !reflect.DeepEqual(list, in[1:]) || got.Elem().Field(0).Interface().(error).Error() != "shared" {
		t.Errorf("%#v became %#v", in, got.Elem())
	}
}

// TestMaxBytes: if an encoding would have more than maxBytes bytes, Encode
// must fail. The error must have the path of the part that exceeds the
// limit. Encode must return the bytes before the encoding unchanged.
func TestMaxBytes(t *testing.T) {
	c := newCodec()
	c.maxBytes = 1000
	c.sharedFrom = 1
	text := strings.Repeat("x", 600)
	for name, x := range map[string]struct {
		v    any
		path string
	}{
		"text":     {[]string{text, text}, "[1]"},
		"bytes":    {[][]byte{make([]byte, 600), make([]byte, 600)}, "[1]"},
		"numbers":  {[][]int64{make([]int64, 60), make([]int64, 80)}, "[1]"},
		"elements": {make([]bool, 2000), ""},
		"methods":  {[]secret{{make([]byte, 600)}, {make([]byte, 600)}}, "[1]"},
		"error":    {[]error{io.EOF, errors.New(text), errors.New(text)}, "[2]"},
		"copies":   {[]*[]string{{text}, {"a"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "copies" {
				l := x.v.([]*[]string)
				x.v, x.path = []*[]string{l[0], l[0]}, "[1]"
			}
			b, err := c.Encode([]byte("kept"), reflectPtr(reflect.ValueOf(x.v)), nil)
			if err == nil || !strings.Contains(err.Error(), "more than 1000 bytes when it is encoded") || !strings.Contains(err.Error(), x.path) || !bytes.Equal(b, []byte("kept")) {
				t.Errorf("%d bytes, %v; want an error with %q", len(b), err, x.path)
			}
		})
	}
	if _, err := c.Encode(nil, reflect.ValueOf(&[]string{text, text[:390]}), nil); err != nil {
		t.Errorf("998 bytes: %v", err)
	}
}
