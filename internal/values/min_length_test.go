package values

import (
	"math"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
	"unsafe"
)

// Types whose values have many elements that need no memory.
type (
	many      [1 << 20]struct{}
	manyMany  [1 << 20]many
	manyCubed [1 << 20]manyMany
	noBytes   struct {
		_ [1 << 30][1 << 30][0]func()
		A int
	}
	manyInside struct {
		First []manyInside
		A     [1 << 10]struct{ B manyMany }
	}
)

// TestMinLength_Refused: if the encoding of a value would be too long,
// Encode must fail before it encodes the elements. If it encoded them first,
// the test would take very long.
func TestMinLength_Refused(t *testing.T) {
	for name, x := range map[string]struct {
		v    any
		want string
	}{
		"array":            {&manyMany{}, "values.manyMany: the value has more than"},
		"too many to add":  {&[1 << 20]manyCubed{}, "values.manyCubed: the value has more than"},
		"slice of nothing": {new(nothing[struct{}](math.MaxInt32)), "[]struct {}: the value has more than"},
		"most elements":    {new(nothing[[0]int](math.MaxInt)), "[][0]int: the value has more than"},
		"slice of arrays":  {new(nothing[many](1 << 20)), "[]values.many: the value has more than"},
		"in a field": {&struct {
			A any
			B []manyMany
		}{1, make([]manyMany, 1)}, ".B: the value has more than"},
		"in an interface": {&[]any{1, many{}, []manyMany{}, make([]manyMany, 2)}, "[]interface {}[3].([]values.manyMany): the value has more than"},
		"in a map":        {&map[string]manyMany{"a": {}}, `map[string]values.manyMany["a"]: the value has more than`},
		"in a pointer":    {&struct{ P *manyMany }{&manyMany{}}, ".P: the value has more than"},
		"in itself":       {&[]manyInside{{}}, "[]values.manyInside: the value has more than"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCodec()
			c.Learn(reflect.TypeFor[manyMany]())
			for _, w := range []Work{{}, {Small: true}} {
				b, err := c.EncodeWithin(w, nil, reflect.ValueOf(x.v), nil)
				if w.Small {
					x.want = ErrLarge.Error()
				}
				if err == nil || !strings.Contains(err.Error(), x.want) || b != nil {
					t.Errorf("%d bytes, %v; want %q", len(b), err, x.want)
				}
			}
		})
	}
}

func nothing[T any](n int) []T { return make([]T, n) }

// TestMinLength_Unexported: Encode must not examine the elements of an
// unexported field of size 0.
func TestMinLength_Unexported(t *testing.T) {
	got, err := trip(newCodec(), reflect.ValueOf(&noBytes{A: 1}))
	if err != nil || got.Elem().Field(1).Int() != 1 {
		t.Errorf("%v, %v", got, err)
	}
}

// TestMinLength_ZeroValues: the minimum length must not be above the length of
// the zero value's encoding, which is the shortest one. If exact is set, the
// minimum length must be at most one byte below that length.
func TestMinLength_ZeroValues(t *testing.T) {
	c := newCodec()
	for _, x := range []struct {
		v     any
		exact bool
	}{
		{false, true}, {int8(0), true}, {uint64(0), true}, {"", true}, {float32(0), true}, {0.0, true}, {complex64(0), true}, {complex(0, 0), true}, {struct{}{}, true},
		{[]int(nil), true}, {map[int]int(nil), true}, {(*int)(nil), true}, {[3]bool{}, true}, {[3]string{}, true}, {[2]float64{}, false}, {[20]float64{}, false}, {[20]int8{}, false},
		{[20]byte{}, true}, {[2][3][4]struct{}{}, true}, {struct {
			A    int
			Long [2]struct{ B, C string }
		}{}, true},
		{time.Time{}, false}, {netip.Addr{}, false}, {[3]time.Time{}, false}, {struct {
			A any `json:"a_name_that_is_longer"`
			b int
			C int `cbor:"-"`
		}{}, true},
		{struct {
			A int `cbor:"B"`
			B int
		}{}, true},
	} {
		p := reflectPtr(reflect.ValueOf(x.v))
		got := c.coder(p.Elem().Type()).minLength
		b, err := c.Encode(nil, p, nil)
		if err != nil {
			if got != 1 {
				t.Errorf("%T: Encode fails: %v; the minimum length is %d, want 1", x.v, err, got)
			}
			continue
		}
		if got > len(b) || got < 1 || x.exact && got < len(b)-1 {
			t.Errorf("%T: the minimum length is %d; the encoding has %d bytes", x.v, got, len(b))
		}
	}
	if unsafe.Sizeof(manyCubed{}) != 0 {
		t.Error("the types of this test need memory")
	}
}
