package python

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"

	"concert/executor"
	"concert/processes"
)

func foreign(b []byte) executor.Encoded { return executor.Encoded{Kind: 17, Bytes: b} }

// TestValidate_OwnEncoding: the checker must accept everything that the
// codec writes.
func TestValidate_OwnEncoding(t *testing.T) {
	big1 := make([]any, 100_000)
	for i := range big1 {
		big1[i] = map[string]any{"a": i}
	}
	set := map[int]bool{}
	for i := range 200_000 {
		set[i] = i%2 == 0
	}
	values := append(append(kinds(), arrays()...), big1, set, make([]float64, 1e6), make([]any, 1e5), strings.Repeat("h\u00e9\U0001d11e", 1e5), Array[int8]{})
	for _, v := range values {
		if v == nil {
			continue
		}
		for how, held := range holders(reflect.ValueOf(v)) {
			b, err := codec{}.Encode(held.Interface())
			if err != nil {
				t.Fatal(err)
			}
			if err := validate(foreign(b)); err != nil {
				t.Errorf("%T in %s: %v", v, how, err)
			}
			e := encoder{sharedFrom: sharedFrom, most: maxEncoded, views: true}
			if b, err = e.encodeAll(held); err != nil {
				t.Fatal(err)
			}
			if err := validate(foreign(b)); err != nil {
				t.Errorf("%T in %s, in place of a handle: %v", v, how, err)
			}
			if b, err = (codec{}).EncodeShared(held.Interface()); err != nil {
				t.Fatal(err)
			}
			if err := validateShared(foreign(b)); err != nil {
				t.Errorf("%T in %s, as a shared value: %v", v, how, err)
			}
		}
	}
	for _, plain := range []string{"(\x01\x00\x00\x00N", "<\x01\x00\x00\x00i\x00\x00\x00\x00", ">\x00\x00\x00\x00", "l\x00\x00\x00\x00", "((\x00\x00\x00\x00"[1:], "u\x03\x00\x00\x00\xed\xb3\xa9"} {
		if err := validate(foreign([]byte(plain))); err != nil {
			t.Errorf("%q: %v", plain, err)
		}
	}
	for kind := range byte(17) {
		if err := validate(executor.Encoded{Kind: kind, Bytes: []byte("\xff")}); err != nil {
			t.Errorf("kind %d: %v", kind, err)
		}
	}
}

// hostile returns arguments that no codec writes. Some of them need much
// memory. For each argument, it returns a text that the error must contain.
// If this text is empty, the checker may accept the argument.
func hostile() map[string]string {
	u32 := func(n uint32) string { return string(binary.LittleEndian.AppendUint32(nil, n)) }
	extend := func(body, arrays string) string {
		return "\x01" + u32(uint32(len(body))) + body + arrays
	}
	form := func(items uint32, rest string) string { return "(" + u32(items) + "." + rest }
	i := func(n uint32) string { return "i" + u32(n) }
	u := func(s string) string { return "u" + u32(uint32(len(s))) + s }
	m := map[string]string{
		"": "are needed", "X": "not among", "N" + "N": "follow", "0": "not among", "[" + u32(1) + "0": "not among", "u" + u32(1) + "\xff": "neither UTF-8", "u" + u32(3) + "\xed\xa0\x80": `neither UTF-8 nor escaped by surrogateescape: "\ud800"`, "u" + u32(6) + "\xed\xb3\x83\xed\xb2\xa9": `"\udcc3\udca9"`,
		"l" + u32(1<<31): "are needed", "l" + u32(1) + "\x00\x80": "digit of 32768", "l" + u32(1) + "\x00\x00": "most significant digit of an int is zero", "l" + u32(0xffffffff) + "\x00": "are needed",
		"{N": "are needed", "{": "are needed", ".": "not among", form(1, ""): "needs a head", strings.Repeat("["+u32(1), 1001) + "N": "nested deeper", strings.Repeat("{N", 500) + strings.Repeat("["+u32(1), 501): "nested deeper",
		"\x01": "shorter than its head", "\x01" + u32(2) + "N": "2 bytes of marshal data, but only 1 bytes follow", extend("N", "x"): "1 bytes of arrays", extend("", ""): "are needed", extend(".", ""): "not among",
		extend(form(5, i(0)+u("d")+i(0)+i(1)), "1234567"):                      "an array of 1 items",
		extend(form(5, i(0)+u("d")+i(8)+i(1)), "1234567812345678"):             "at offset 8",
		extend(form(5, i(0)+u("")+i(0)+i(0)), ""):                              "typecode",
		extend(form(5, i(0)+u("u")+i(0)+i(0)), ""):                             "typecode",
		extend(form(5, i(0)+u("d")+i(0)+i(1<<31)), ""):                         "an array of",
		extend(form(5, i(1)+u("O8")+"("+u32(0)+i(0)), "12345678"):              "dtype",
		extend(form(5, i(1)+u("f8")+"("+u32(1)+i(1<<31)+i(0)), ""):             "shape",
		extend(form(5, i(1)+u("f8")+"("+u32(2)+i(1<<30)+i(1<<30)+i(0)), ""):    "shape",
		extend(form(5, i(1)+u("f8")+"["+u32(0)+i(0)), ""):                      "no shape",
		extend(form(5, i(1)+u("i1")+"("+u32(33)+strings.Repeat(i(0), 34)), ""): "shape",
		extend(form(5, i(5)+u("d")+i(0)+"["+u32(1)+i(1)), "1234567"):           "an array of 1 items", extend(form(5, i(5)+u("d")+i(0)+"["+u32(1)+i(0xfffffffe)), ""): "an array of",
		extend(form(5, i(5)+u("d")+i(8)+"["+u32(0)), ""): "begin at offset 8", extend(form(5, i(5)+u("d")+i(0)+"("+u32(0)), ""): "no list of counts", extend(form(5, i(5)+u("d")+i(0)+"["+u32(9)), ""): "9 items",
		extend(form(4, i(4)+u("date")+u("2024-13-01")), ""):                                             "is no valid text",
		extend(form(4, i(4)+u("eval")+u("1")), ""):                                                      "is no valid text",
		extend(form(3, i(6)+"s"+u32(15)+strings.Repeat("x", 16)), ""):                                   "has no ID",
		extend(form(3, i(6)+"i"+u32(16)+strings.Repeat("x", 16)), ""):                                   "has no ID",
		extend(form(3, i(6)+"s"+u32(16)+strings.Repeat("x", 9)), ""):                                    "are needed",
		extend(form(4, i(6)+"s"+u32(16)+strings.Repeat("x", 17)), ""):                                   "form 6 with 2 items",
		extend("["+u32(257)+strings.Repeat(form(3, i(6)+"s"+u32(16)+strings.Repeat("x", 16)), 257), ""): "more than 256 references",
		extend(form(5, i(0)+u("B")+i(0)+i(1)), "1"):                                                     "typecode",
		extend(form(5, i(7)+u("B")+i(0)+i(2)), "1"):                                                     "an array of 2 items",
		extend(form(5, i(7)+u("u")+i(0)+i(0)), ""):                                                      "typecode",
		extend(form(5, i(9)+u("B")+i(0)+"["+u32(0)), ""):                                                "typecode",
		extend(form(4, i(6)+u("date")+u("2024-13-01")), ""):                                             "form 6",
		extend(form(4, i(0)+u("date")+u("2024-13-01")), ""):                                             "form 0",
		extend(form(6, i(3)+i(0)+i(0)+i(0)+"N"), ""):                                                    "of a form",
		extend(form(12, i(2)+strings.Repeat(i(1), 8)+i(0)+"N"), ""):                                     "of a form",
	}
	for _, kind := range "([<>su" { // a count without elements
		for _, n := range []uint32{60_000_000, 1<<31 - 1, 1 << 31, 1<<32 - 1} {
			m[string(kind)+u32(n)] = "the remaining 0 bytes"
		}
	}
	for kind := range 256 { // other features of marshal: code, references, interned strings
		if !strings.ContainsRune("NTFilgysu([<>{", rune(kind)) && kind != extended {
			m[string([]byte{byte(kind)})+u32(0)+u32(0)] = "not among"
		}
	}
	for _, dense := range []string{"{0", "{N{N00", "<" + u32(0), "[" + u32(1) + "<" + u32(0)} {
		n := 1_000_000
		m["["+u32(uint32(n))+strings.Repeat(dense, n)] = ""
	}
	return m
}

// TestValidate_Hostile: the pool must refuse arguments that no codec writes.
// They must not reach the interpreter, and the interpreter must continue.
func TestValidate_Hostile(t *testing.T) {
	t.Parallel()
	for b, want := range hostile() {
		err := validate(foreign([]byte(b)))
		if want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%.100q: %v; want an error with %q", b, err, want)
		}
	}
	p, err := New(1, interpreters(t)["fresh"])
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	calls := func() int {
		n, err := submit(t, p, Func[None, int]("tasks:count_calls"), None{})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := calls()
	declare[any, any]("tasks:count_calls")
	for b, want := range hostile() {
		if want == "" {
			continue
		}
		_, err := executor.Relay(t.Context(), p, executor.Call{Name: nameOf("1", "tasks:count_calls"), Arg: foreign([]byte(b))}).Result(t.Context())
		if err == nil || !strings.Contains(err.Error(), want) || errors.As(err, new(*Error)) || errors.As(err, new(*processes.WorkerError)) {
			t.Errorf("%.100q: %v; want an error with %q", b, err, want)
		}
	}
	if after := calls(); after != before+1 {
		t.Errorf("%d calls reached the interpreter", after-before-1)
	}
}

// TestValidate_HostileShared: another process sends a shared value that the
// codec would not write. The pool must not store this value.
func TestValidate_HostileShared(t *testing.T) {
	p, err := New(1, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	reference := appendForm(nil, formShared, 1)
	reference = append(append(reference, "s\x10\x00\x00\x00"...), make([]byte, 16)...)
	all := hostile()
	all[string(append(append([]byte{extended}, le.AppendUint32(nil, uint32(len(reference)))...), reference...))] = "form 6"
	for b, want := range all {
		if want == "" || strings.Contains(want, "follow") || strings.Contains(want, "bytes of arrays") || strings.Contains(want, "has no ID") || strings.Contains(want, "references") {
			continue
		}
		stored, err := executor.RelayShared(t.Context(), p, executor.SharedID{1}, foreign([]byte(b)))
		if err == nil {
			stored.Release()
			t.Errorf("%.100q was stored; want an error with %q", b, want)
		}
	}
}

// TestValidate_Memory: the memory that an interpreter needs for an argument
// must not be more than the checker has counted.
func TestValidate_Memory(t *testing.T) {
	t.Parallel()
	u32 := func(n int) string { return string(binary.LittleEndian.AppendUint32(nil, uint32(n))) }
	list := func(n int, item func(i int) string) string {
		var b strings.Builder
		b.WriteString("[" + u32(n))
		for i := range n {
			b.WriteString(item(i))
		}
		return b.String()
	}
	each := func(item string) string { return list(3_000, func(int) string { return item }) }
	ints := func(n int, after string) string {
		var b strings.Builder
		for i := range n {
			b.WriteString("i" + u32(i) + after)
		}
		return b.String()
	}
	encoded := func(v any) string {
		b, err := codec{}.Encode(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	huge, _ := codec{}.Encode(new(big.Int).Lsh(big.NewInt(1), 100_000))
	args := map[string]string{
		"None": each("N"), "ints": ints(0, "") + list(3_000, func(i int) string { return "i" + u32(i+1000) }), "floats": each("g12345678"), "complex": each("y1234567812345678"),
		"empty lists": each("[" + u32(0)), "empty tuples": each("(" + u32(0)), "empty dicts": each("{0"), "empty sets": each("<" + u32(0)), "dicts of one": each("{NN0"), "dicts of six": each("{NNTNF" + "N" + ints(3, "N") + "0"),
		"chains": each("{N{N{N{NN0000"), "lists of one": each("[" + u32(1) + "N"), "bytes": each("s" + u32(1) + "x"), "text": list(3_000, func(i int) string { return "u" + u32(4) + fmt.Sprintf("%04d", i) }),
		"wide text": each("u" + u32(6) + "\u00e9\U0001d11e"), "a wide text": "u" + u32(100_004) + strings.Repeat("x", 100_000) + "\U0001d11e", "huge ints": list(100, func(int) string { return string(huge) }),
		"a set": "<" + u32(100_000) + ints(100_000, ""), "a frozenset": ">" + u32(30_000) + ints(30_000, ""), "a dict": "{" + ints(100_000, "N") + "0", "a dict of pairs": "{" + ints(43_691, "T") + "0", "a tuple": "(" + u32(10_000) + ints(10_000, ""),
		"sets of items": each("<" + u32(5) + ints(5, "")), "dicts of items": each("{" + ints(7, "N") + "0"), "times": encoded(times(5000)), "durations": encoded(make([]time.Duration, 5000)), "decimals": encoded(decimals(5000)),
		"arrays": encoded(make([][1]float64, 5000)), "points": encoded(make([][2]float64, 3000)), "rows": encoded([][]int8{nil, {}, {1}}), "rows of nothing": encoded(make([][]float64, 5000)), "paths": encoded([]Path{"a", "b"}), "keys": encoded(keyTimes(2000)), "tuple keys": encoded(keyTuples(20_000)),
		"views": encoded(elsewhere(t, make([][1]float64, 5000))), "rows of views": encoded(elsewhere(t, make([][1]int64, 3000))), "rows of empty views": encoded(elsewhere(t, emptyRows(3000))), "a list of views": encoded(elsewhere(t, []any{[]int8{}, []float64{1}})),
	}
	eachInterpreter(t, func(t *testing.T, p *processes.Pool, numpy bool) {
		if strings.Contains(t.Name(), "loaded") {
			return // the memory for a value does not depend on the imported modules
		}
		args := maps.Clone(args)
		if numpy {
			args["ndarrays"] = encoded(make([]Array[float32], 3000))
		}
		measure := Func[[]byte, int]("tasks:memory_of")
		for name, b := range args {
			c := checker{rest: []byte(b), most: math.MaxInt}
			if err := c.argument(); err != nil {
				t.Fatal(name, err)
			}
			used, err := submit(t, p, measure, []byte(b))
			if err != nil {
				t.Fatal(name, err)
			}
			t.Logf("%s: %d bytes, %.1f times; counted %d", name, used, float64(used)/float64(len(b)), c.memory)
			if used > c.memory+4096 {
				t.Errorf("%s of %d bytes need %d bytes of memory, and %d were counted", name, len(b), used, c.memory)
			}
			if name != "chains" && c.memory > freeExpansion+maxExpansion*len(b) {
				t.Errorf("%s would be refused", name)
			}
		}
	})
}

// elsewhere returns the handle of a value that no pool stores. So an
// argument with the handle contains the value itself.
func elsewhere[T any](t *testing.T, v T) executor.Shared[T] {
	h, err := executor.Share(t.Context(), struct{ executor.Executor }{}, v)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func emptyRows(n int) [][]float64 {
	all := make([][]float64, n)
	for i := range all {
		all[i] = []float64{}
	}
	return all
}

func times(n int) []time.Time {
	all := make([]time.Time, n)
	for i := range all {
		all[i] = time.Unix(int64(i), int64(i)).In(time.FixedZone(fmt.Sprint(i), i))
	}
	return all
}

func decimals(n int) []Decimal {
	all := make([]Decimal, n)
	for i := range all {
		all[i] = Decimal(fmt.Sprint(i))
	}
	return all
}

func keyTimes(n int) map[time.Time]int {
	all := make(map[time.Time]int)
	for i := range n {
		all[time.Unix(int64(i), 0).UTC()] = i
	}
	return all
}

func keyTuples(n int) map[any]any {
	all := map[any]any{"t": time.Second}
	for i := range n {
		all[[1]int{i}] = nil
	}
	return all
}

// FuzzValidate: the checker must not panic for any bytes. If it accepts
// bytes with forms, their head must be valid. If it accepts other bytes, it
// must be possible to decode them, except for keys that Go cannot have.
func FuzzValidate(f *testing.F) {
	for _, v := range append(kinds(), arrays()...) {
		if b, err := (codec{}).Encode(v); err == nil {
			f.Add(b)
		}
	}
	for b := range hostile() {
		if len(b) < 1000 {
			f.Add([]byte(b))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if validate(foreign(b)) != nil {
			return
		}
		if b[0] == extended {
			if len(b) < extendedHead || int(le.Uint32(b[1:])) > len(b)-extendedHead {
				t.Errorf("%q passes", b)
			}
			return
		}
		if bytes.IndexByte([]byte("NTFilgysu([<>{"), b[0]) < 0 {
			t.Errorf("%q passes", b)
		}
		var v any
		if err := decodeAll(b, reflect.ValueOf(&v).Elem()); err != nil && !strings.Contains(err.Error(), "key") {
			t.Errorf("%q passes, and does not decode: %v", b, err)
		}
	})
}

// BenchmarkValidate measures the check of arguments.
func BenchmarkValidate(b *testing.B) {
	for name, v := range map[string]any{"ints": make([]int, 1e5), "floats": make([]any, 1), "small": map[string]any{"a": 1, "b": []string{"x"}}, "array": []any{make([]float64, 1e5)}} {
		if name == "floats" {
			all := make([]any, 1e5)
			for i := range all {
				all[i] = 0.5
			}
			v = all
		}
		bytes, err := codec{}.Encode(v)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(bytes)))
			for b.Loop() {
				if err := validate(foreign(bytes)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
