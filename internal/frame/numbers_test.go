package frame_test

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
	"time"

	"concert/executor"
	"concert/internal/frame"
)

func TestNumbers_RoundTrip(t *testing.T) {
	args := []executor.Encoded{{Kind: 13, Bytes: []byte("12345678")}, {Kind: 13, Bytes: []byte("abcdefgh")}}
	head := frame.CallHead{Seq: 1<<32 - 1, Left: time.Minute, Name: "f", Count: 2}
	results := frame.Numbers{ID: frame.ID{Seq: 7, Index: 900}, Ran: 5, Kind: 15, Values: []byte("12345678abcdefgh")}
	b := frame.AppendCallNumbers([]byte(nil), head, args)
	b = append(frame.NumbersHead(b, results), results.Values...)

	in := frame.NewReader(bytes.NewReader(b), 1<<20)
	kind, body, err := in.Next()
	if kind != frame.CallNumbers || err != nil {
		t.Fatalf("Next() = %c, %v", kind, err)
	}
	got, rest, err := frame.ParseCall(body, "")
	if got != head || err != nil {
		t.Errorf("ParseCall() = %+v, %v; want %+v", got, err, head)
	}
	if kind, numbers, err := frame.ParseNumbers(rest, 2); kind != 13 || string(numbers) != "12345678abcdefgh" || err != nil {
		t.Errorf("ParseNumbers() = %d, %q, %v", kind, numbers, err)
	}
	if kind, body, err = in.Next(); kind != frame.ResultNumbers || err != nil {
		t.Fatalf("Next() = %c, %v", kind, err)
	}
	n, err := frame.ParseResultNumbers(body)
	if !reflect.DeepEqual(n, results) || err != nil {
		t.Errorf("ParseResultNumbers() = %+v, %v; want %+v", n, err, results)
	}
	if v := n.Value(1); n.Len() != 2 || v.Kind != 15 || string(v.Bytes) != "abcdefgh" {
		t.Errorf("%d results, the second one is %v", n.Len(), v)
	}
}

func TestNumbers_Invalid(t *testing.T) {
	valid := append(make([]byte, 16), 13, 1, 2, 3, 4, 5, 6, 7, 8)
	for name, body := range map[string][]byte{
		"empty": nil, "no number": valid[:17], "part of a number": valid[:24], "more than a number": append(bytes.Clone(valid), 1),
		"kind of a bool": append(append(make([]byte, 16), 16), valid[17:]...), "kind of a text": append(append(make([]byte, 16), 2), valid[17:]...),
	} {
		if _, err := frame.ParseResultNumbers(body); !errors.Is(err, frame.ErrFrame) {
			t.Errorf("ParseResultNumbers, %s: %v", name, err)
		}
		if len(body) > 16 {
			body = body[16:]
		}
		if _, _, err := frame.ParseNumbers(body, 1); !errors.Is(err, frame.ErrFrame) {
			t.Errorf("ParseNumbers, %s: %v", name, err)
		}
	}
}
