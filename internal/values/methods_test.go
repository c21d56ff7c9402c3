package values

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// Types with methods for encoding. Some of these types have no method for
// decoding, or have one with a value receiver.
type (
	onlyGob     struct{ n int }
	onlyText    struct{ n int }
	onlyJSON    struct{ n int }
	textAndOpen struct{ N int } // encoded by its contents, because all fields are exported
	halfAndJSON struct{ n int } // the JSON methods are complete
	valueStruct struct{ n int }
	valueText   struct{ n int }
	valueSlice  []int
	valueInt    int
	valueArray  [2]int
	valueEmpty  struct{}
	ValueMap    map[string]int
	cborMap     map[string]int
	ownSlice    []int
	ownMap      map[string]int
	ownChan     chan int
	ownFunc     func() int
	valueChan   chan int
	embedsMap   struct {
		ValueMap
		N int
	}
)

func (onlyGob) GobEncode() ([]byte, error)          { return nil, nil }
func (onlyText) MarshalText() ([]byte, error)       { return nil, nil }
func (*onlyJSON) MarshalJSON() ([]byte, error)      { return nil, nil }
func (textAndOpen) MarshalText() ([]byte, error)    { return nil, nil }
func (halfAndJSON) MarshalBinary() ([]byte, error)  { return nil, nil }
func (h halfAndJSON) MarshalJSON() ([]byte, error)  { return json.Marshal(h.n) }
func (h *halfAndJSON) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, &h.n) }
func (valueStruct) MarshalBinary() ([]byte, error)  { return nil, nil }
func (valueStruct) UnmarshalBinary([]byte) error    { return nil }
func (valueText) MarshalText() ([]byte, error)      { return nil, nil }
func (valueText) UnmarshalText([]byte) error        { return nil }
func (valueSlice) MarshalBinary() ([]byte, error)   { return nil, nil }
func (valueSlice) UnmarshalBinary([]byte) error     { return nil }
func (valueInt) MarshalBinary() ([]byte, error)     { return nil, nil }
func (valueInt) UnmarshalBinary([]byte) error       { return nil }
func (valueArray) GobEncode() ([]byte, error)       { return nil, nil }
func (valueArray) GobDecode([]byte) error           { return nil }
func (valueEmpty) MarshalBinary() ([]byte, error)   { return nil, nil }
func (valueEmpty) UnmarshalBinary([]byte) error     { return nil }
func (m ValueMap) MarshalBinary() ([]byte, error)   { return json.Marshal(map[string]int(m)) }
func (m ValueMap) UnmarshalBinary(b []byte) error   { return m.set(b) }
func (m cborMap) MarshalCBOR() ([]byte, error)      { return []byte{byte(len(m))}, nil }
func (m cborMap) UnmarshalCBOR(b []byte) error      { m["n"] = int(b[0]); return nil }
func (s ownSlice) MarshalBinary() ([]byte, error)   { return json.Marshal([]int(s)) }
func (s *ownSlice) UnmarshalBinary(b []byte) error  { return json.Unmarshal(b, (*[]int)(s)) }
func (m ownMap) GobEncode() ([]byte, error)         { return json.Marshal(map[string]int(m)) }
func (m *ownMap) GobDecode(b []byte) error          { return json.Unmarshal(b, (*map[string]int)(m)) }
func (c ownChan) MarshalText() ([]byte, error)      { return []byte{byte('0' + cap(c))}, nil }
func (c *ownChan) UnmarshalText(b []byte) error     { *c = make(ownChan, b[0]-'0'); return nil }
func (f ownFunc) MarshalJSON() ([]byte, error)      { return json.Marshal(f()) }
func (f *ownFunc) UnmarshalJSON(b []byte) (err error) {
	n := int(b[0] - '0')
	*f = func() int { return n }
	return nil
}
func (valueChan) MarshalText() ([]byte, error) { return nil, nil }
func (valueChan) UnmarshalText([]byte) error   { return nil }

// set adds the entries in b.
func (m ValueMap) set(b []byte) error {
	var all map[string]int
	err := json.Unmarshal(b, &all)
	for k, n := range all {
		m[k] = n
	}
	return err
}

// TestMethods_Refused: a type has a method for encoding, but its method for
// decoding is missing or cannot set the value. Encode and Decode must fail.
// Check must return an error with the path to the type.
func TestMethods_Refused(t *testing.T) {
	for _, x := range []struct {
		v    any
		want string
	}{
		{half{}, "values.half has the method MarshalBinary, but no method that decodes its result: add UnmarshalBinary"},
		{onlyGob{1}, "add GobDecode"},
		{onlyText{1}, "add UnmarshalText"},
		{onlyJSON{1}, "add UnmarshalJSON"},
		{valueStruct{1}, "UnmarshalBinary with a value receiver, which cannot set the value: declare it for *values.valueStruct"},
		{valueText{1}, "UnmarshalText with a value receiver"},
		{valueSlice{1}, "UnmarshalBinary with a value receiver"},
		{valueInt(1), "UnmarshalBinary with a value receiver"},
		{valueArray{1}, "GobDecode with a value receiver"},
		{make(valueChan), "channels"},
	} {
		typ := reflect.TypeOf(x.v)
		field := reflect.StructOf([]reflect.StructField{{Name: "F", Type: reflect.MapOf(stringType, reflect.SliceOf(reflect.PointerTo(typ)))}})
		c := newCodec()
		if err := c.Check(typ); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("Check(%v) = %v; want %q", typ, err, x.want)
		}
		if err := c.Check(field); err == nil || !strings.Contains(err.Error(), ".F[...][...]: ") || !strings.Contains(err.Error(), x.want) {
			t.Errorf("Check(%v) = %v; want the path and %q", field, err, x.want)
		}
		if b, err := c.Encode(nil, reflectPtr(reflect.ValueOf(x.v)), nil); err == nil {
			t.Errorf("Encode(%#v) = %x", x.v, b)
		}
		if err := c.Decode([]byte{0x40}, reflect.New(typ)); err == nil {
			t.Errorf("Decode of a %v succeeds", typ)
		}
	}
}

// TestMethods_Exact: if a type has methods for encoding and decoding, its
// values must arrive unchanged, even if the type is a map, a slice, a
// channel or a function.
func TestMethods_Exact(t *testing.T) {
	c := newCodec()
	for _, v := range []any{
		textAndOpen{1}, halfAndJSON{7}, valueEmpty{}, ValueMap{"a": 1}, ValueMap{}, ValueMap(nil), cborMap{"n": 1}, ownSlice{1}, ownSlice{}, ownSlice(nil), ownMap{"a": 1}, ownMap{}, ownMap(nil),
		ownChan(nil), ownFunc(nil), embedsMap{ValueMap{"a": 1}, 2}, embedsMap{}, []*ValueMap{nil, {}, new(ValueMap(nil))}, map[string]ValueMap{"k": {"a": 1}, "nil": nil},
	} {
		c.Learn(reflect.TypeOf(v))
		if err := c.Check(reflect.TypeOf(v)); err != nil {
			t.Errorf("Check(%T) = %v", v, err)
		}
		for _, p := range []reflect.Value{reflectPtr(reflect.ValueOf(v)), reflect.ValueOf(&[]any{v})} {
			if got, err := trip(c, p); err != nil || !reflect.DeepEqual(got.Interface(), p.Interface()) {
				t.Errorf("%#v became %#v, %v", v, got.Elem(), err)
			}
		}
	}
	type special struct {
		C ownChan
		F ownFunc
	}
	got, err := trip(c, reflect.ValueOf(&special{make(ownChan, 3), func() int { return 4 }}))
	if err != nil {
		t.Fatal(err)
	}
	if s := got.Elem().Interface().(special); cap(s.C) != 3 || s.F() != 4 {
		t.Errorf("a channel and a function with methods became %v, %v", cap(s.C), s.F())
	}
}

// nullMap is encoded as null by its method.
type nullMap map[string]int

func (nullMap) MarshalCBOR() ([]byte, error)   { return []byte{itemNull}, nil }
func (m nullMap) UnmarshalCBOR(b []byte) error { m["bytes"] = len(b); return nil }

// keeper keeps the bytes that it decodes.
type keeper struct{ b []byte }

func (k keeper) MarshalBinary() ([]byte, error)  { return k.b, nil }
func (k *keeper) UnmarshalBinary(b []byte) error { k.b = b; return nil }

// TestMethods_Null: Encode must call MarshalCBOR for every value, even for a
// nil map. Decode must call UnmarshalCBOR for every item, even for null,
// because null may be the encoding of a value.
func TestMethods_Null(t *testing.T) {
	for _, v := range []nullMap{nil, {"a": 1}} {
		in := []*nullMap{&v, nil}
		got, err := trip(newCodec(), reflect.ValueOf(&in))
		if err != nil || !reflect.DeepEqual(got.Elem().Interface(), []*nullMap{{"bytes": 1}, nil}) {
			t.Errorf("%v became %v, %v", v, got.Elem(), err)
		}
	}
}

// TestMethods_OwnBytes: Decode must give a method a copy of the bytes, because
// the method may keep them.
func TestMethods_OwnBytes(t *testing.T) {
	c, got := newCodec(), keeper{}
	b, err := c.Encode(nil, reflect.ValueOf(&keeper{[]byte("abc")}), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Decode(b, reflect.ValueOf(&got)); err != nil {
		t.Fatal(err)
	}
	if clear(b); string(got.b) != "abc" {
		t.Errorf("the bytes became %q", got.b)
	}
}
