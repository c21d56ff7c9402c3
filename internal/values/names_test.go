package values

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// TestNames_Bounds: if an expression is invalid or too long, or its type is too
// large, or there are maxComposed types already, typeOf must fail.
func TestNames_Bounds(t *testing.T) {
	c := newCodec()
	for name, want := range map[string]string{
		"int": "", "*[]map[string][3]*int": "", "map[[2]string]any": "", "[1048576]uint8": "", "[0]string": "",
		"": "does not know the name", "nothing": "does not know the name", "[]nothing": "does not know the name", "[1048577]uint8": "invalid array length", "[-1]int": "invalid array length", "[x]int": "invalid array length", "[1": "invalid array length",
		"[1048576]int": "the array is too large", "[1000][1000][1000]struct {}": "", "[2000][1000]uint8": "the array is too large", "map[[]int]int": "cannot be the key", "map[int": "a bracket is missing", "map[nothing]int": "does not know", "map[int]nothing": "does not know",
		strings.Repeat("*", 1500) + "int": "at most 1024 are allowed",
	} {
		if _, err := c.typeOf(name); (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || len(err.Error()) > 300) {
			t.Errorf("typeOf(%.50q) = %v; want %q", name, err, want)
		}
	}
	for i := range maxComposed + 10 {
		full := len(c.composed) >= maxComposed
		if _, err := c.typeOf(fmt.Sprintf("[%d]int16", i)); (err != nil) != full {
			t.Fatalf("type %d: %v with %d composed types", i, err, len(c.composed))
		}
	}
	if _, err := c.typeOf("[1]int16"); err != nil || len(c.composed) > maxComposed {
		t.Errorf("a type that is known: %v, with %d composed types", err, len(c.composed))
	}
}

func oneRecord() reflect.Type   { type record struct{ A int }; return reflect.TypeFor[record]() }
func otherRecord() reflect.Type { type record struct{ B int }; return reflect.TypeFor[record]() }

// TestNames_Clash: if two types have the same name, Encode must refuse their
// values until the types are registered under other names.
func TestNames_Clash(t *testing.T) {
	c := newCodec()
	one, other := oneRecord(), otherRecord()
	c.Learn(one)
	in := reflect.ValueOf(&[]any{reflect.Zero(one).Interface()})
	if _, err := trip(c, in); err != nil {
		t.Errorf("one type: %v", err)
	}
	c.Learn(other)
	if _, err := c.Encode(nil, in, nil); err == nil || !strings.Contains(err.Error(), "several types are named") {
		t.Errorf("two types: %v", err)
	}
	if _, err := c.typeOf(ownPath + ".record"); err == nil {
		t.Error("typeOf returns a type for a name that two types have")
	}
	if err := c.Register("test.one", one); err != nil {
		t.Fatal(err)
	}
	if got, err := trip(c, in); err != nil || !reflect.DeepEqual(got.Interface(), in.Interface()) {
		t.Errorf("with a name of its own: %v", err)
	}
	for name, typ := range map[string]reflect.Type{"test.one": other, "": one, "a*": one, "[": one, "error": one, "sentinel": one, "time.Time": one, "test.chan": reflect.TypeFor[chan int]()} {
		if err := c.Register(name, typ); err == nil {
			t.Errorf("Register(%q, %v) succeeds", name, typ)
		}
	}
	if err := c.Register("test.one", one); err != nil {
		t.Errorf("the same again: %v", err)
	}
	c.Learn(reflect.TypeFor[[]struct{ X node }]())
	if name, err := c.nameOf(one); name != "test.one" || err != nil {
		t.Errorf("the name is %q, %v", name, err)
	}
}

// TestNames_Kept: if a type is registered and then learned, it must keep its
// registered name.
func TestNames_Kept(t *testing.T) {
	c := newCodec()
	if err := c.Register("test.node", reflect.TypeFor[node]()); err != nil {
		t.Fatal(err)
	}
	c.Learn(reflect.TypeFor[[]*node]())
	if name, err := c.nameOf(reflect.TypeFor[*node]()); name != "*test.node" || err != nil {
		t.Errorf("the name is %q, %v", name, err)
	}
}

// TestKnowsMethods: KnowsMethods must report true if and only if the codec has
// learned a type with methods for decoding.
func TestKnowsMethods(t *testing.T) {
	c := newCodec()
	c.Learn(reflect.TypeFor[[]map[string]Outer]())
	if c.KnowsMethods() {
		t.Error("types without methods count as user code")
	}
	c.Learn(reflect.TypeFor[struct{ M []*money }]())
	if !c.KnowsMethods() {
		t.Error("a type with text methods does not count as user code")
	}
}
