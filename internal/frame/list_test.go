package frame_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"reflect"
	"testing"
	"time"

	"concert/executor"
	"concert/internal/frame"
)

const anInt, aBool, aString = 13, 16, 2 // kinds

// TestList_RoundTrip: frames of lists contain the values. The test uses
// kinds whose values all have the same size, and other kinds.
func TestList_RoundTrip(t *testing.T) {
	for name, args := range map[string][]executor.Encoded{
		"numbers": {{Kind: anInt, Bytes: []byte("12345678")}, {Kind: anInt, Bytes: []byte("abcdefgh")}},
		"bools":   {{Kind: aBool, Bytes: []byte{1}}, {Kind: aBool, Bytes: []byte{0}}, {Kind: aBool, Bytes: []byte{1}}},
		"texts":   {{Kind: aString, Bytes: []byte("ab")}, {Kind: aString, Bytes: []byte{}}, {Kind: aString, Bytes: bytes.Repeat([]byte("x"), frame.MaxListed)}},
	} {
		head := frame.CallHead{Seq: 1<<32 - 1, Left: time.Minute, Name: "f", Count: uint16(len(args))}
		b := frame.AppendCallList(nil, head, args)
		list, err := parseCallList(b[frame.HeaderSize:], head)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		results := frame.Results{ID: frame.ID{Seq: 7, Index: 900}, Ran: 5, List: list}
		b = append(append(frame.ResultListHead(b, &results), list.Sizes...), list.Bytes...)

		in := frame.NewReader(bytes.NewReader(b), 1<<20)
		in.Next()
		kind, body, err := in.Next()
		if kind != frame.ResultList || err != nil {
			t.Fatalf("%s: Next() = %c, %v", name, kind, err)
		}
		got, err := frame.ParseResultList(body)
		if !reflect.DeepEqual(got, results) || err != nil {
			t.Errorf("%s: ParseResultList() = %+v, %v; want %+v", name, got, err, results)
		}
		if got.Len() != len(args) {
			t.Errorf("%s: %d results, want %d", name, got.Len(), len(args))
		}
		for i, arg := range args {
			if v := got.Next(); v.Kind != arg.Kind || !bytes.Equal(v.Bytes, arg.Bytes) {
				t.Errorf("%s: result %d is %v, want %v", name, i, v, arg)
			}
		}
	}
}

func parseCallList(body []byte, want frame.CallHead) (executor.List, error) {
	head, rest, err := frame.ParseCall(body, "")
	if head != want && err == nil {
		err = errors.New("another head")
	}
	if err != nil {
		return executor.List{}, err
	}
	return frame.ParseCallList(rest, int(head.Count))
}

// TestList_Invalid: a list is refused if its sizes do not fit its bytes, or if
// a value is too large for a list.
func TestList_Invalid(t *testing.T) {
	large := append(binary.LittleEndian.AppendUint16(nil, frame.MaxListed+1), make([]byte, frame.MaxListed+1)...)
	for name, c := range map[string]struct {
		kind  byte
		count int
		rest  []byte
	}{
		"no value": {anInt, 0, nil}, "no text": {aString, 0, nil}, "part of a number": {anInt, 1, make([]byte, 7)}, "more than a number": {anInt, 1, make([]byte, 9)},
		"no sizes": {aString, 2, make([]byte, 3)}, "too few bytes": {aString, 1, []byte{2, 0, 'x'}}, "too many bytes": {aString, 2, []byte{1, 0, 0, 0, 'x', 'y'}},
		"a large value": {aString, 1, large},
	} {
		if l, err := frame.ParseCallList(append([]byte{c.kind}, c.rest...), c.count); !errors.Is(err, frame.ErrFrame) {
			t.Errorf("ParseCallList, %s: %v, %v", name, l, err)
		}
		body := binary.LittleEndian.AppendUint16(append(make([]byte, 16), c.kind), uint16(c.count))
		if r, err := frame.ParseResultList(append(body, c.rest...)); !errors.Is(err, frame.ErrFrame) {
			t.Errorf("ParseResultList, %s: %v, %v", name, r, err)
		}
	}
	for n := range 19 {
		if _, err := frame.ParseResultList(make([]byte, n)); !errors.Is(err, frame.ErrFrame) {
			t.Errorf("ParseResultList of %d bytes: %v", n, err)
		}
	}
	if _, err := frame.ParseCallList(nil, 1); !errors.Is(err, frame.ErrFrame) {
		t.Errorf("ParseCallList of no bytes: %v", err)
	}
}

// FuzzList: if a list is not refused, all its values can be read. Encoded
// again, they have the same bytes.
func FuzzList(f *testing.F) {
	f.Add(byte(anInt), uint16(2), make([]byte, 16))
	f.Add(byte(aString), uint16(2), []byte("\x01\x00\x02\x00abc"))
	f.Fuzz(func(t *testing.T, kind byte, count uint16, rest []byte) {
		body := binary.LittleEndian.AppendUint16(append(make([]byte, 16), kind), count)
		r, err := frame.ParseResultList(append(body, rest...))
		call, callErr := frame.ParseCallList(append([]byte{kind}, rest...), int(count))
		if (err == nil) != (callErr == nil) || err == nil && !reflect.DeepEqual(call, r.List) {
			t.Fatalf("ParseResultList: %v, %v; ParseCallList: %v, %v", r.List, err, call, callErr)
		}
		if err != nil {
			return
		}
		if r.Len() != int(count) {
			t.Fatalf("%d values, want %d", r.Len(), count)
		}
		var args []executor.Encoded
		for r.Len() > 0 {
			args = append(args, r.Next())
			if !frame.CanList(args[len(args)-1]) {
				t.Errorf("value %d cannot be in a list: %v", len(args)-1, args[len(args)-1])
			}
		}
		again := frame.AppendCallList(nil, frame.CallHead{Count: count}, args)
		if !bytes.HasSuffix(again, append([]byte{kind}, rest...)) {
			t.Errorf("the list %x encodes to %x", rest, again)
		}
	})
}
