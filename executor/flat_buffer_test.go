package executor

import (
	"strings"
	"testing"
)

// TestFlatBuffer: small values share allocations, even after a large value.
// No value changes the bytes of another value.
func TestFlatBuffer(t *testing.T) {
	flat := &Flat{Append: func(b []byte, p any) ([]byte, bool) {
		text := *p.(*string)
		return append(b, text...), text != "refused"
	}}
	large := strings.Repeat("x", 200<<10)
	texts := []string{"a", large, "refused"}
	for range 500 {
		texts = append(texts, "small", "")
	}
	var f flatBuffer
	var args []Encoded
	memory, end := 0, (*byte)(nil) // the last byte of the current allocation
	for i, text := range texts {
		arg, ok := f.append(flat, &text, len(texts)-i-1)
		if ok != (text != "refused") {
			t.Fatalf("append(%.10q) = %v", text, ok)
		}
		args = append(args, arg)
		all := f.last[:cap(f.last)]
		if n := len(all); n > 0 && &all[n-1] != end {
			memory, end = memory+n, &all[n-1]
		}
		clear(all[len(f.last):])
	}
	for i, text := range texts {
		if text != "refused" && string(args[i].Bytes) != text {
			t.Fatalf("value %d is %.10q, want %.10q", i, args[i].Bytes, text)
		}
	}
	if memory > 1<<20 {
		t.Errorf("%d values of 5 bytes and one of %d bytes have %d bytes of memory", len(texts), len(large), memory)
	}
}
