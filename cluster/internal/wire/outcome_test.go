package wire

import (
	"reflect"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"concert/executor"
)

// TestOutcome: an Outcome or a Hint must be equal after encoding and decoding.
func TestOutcome(t *testing.T) {
	full := Outcome{
		ID: TaskID{"client", "session", "1"}, Err: []byte("error"), Dropped: true, Dead: true, Slot: 3, WorkerID: "worker", Took: time.Second, Try: "1", Stopped: true,
		Value: Value{Encoded: executor.Encoded{Kind: 2, Bytes: []byte("value")}, Blob: "client.x", Size: 1 << 30, Sum: []byte("sum")},
	}
	for _, o := range []Outcome{{}, full, {ID: TaskID{Client: "client", Number: "1"}, Slot: -1}} {
		got, err := DecodeOutcome(o.Encode())
		if err != nil || !reflect.DeepEqual(got, o) {
			t.Errorf("%+v became %+v, %v", o, got, err)
		}
	}
	for _, h := range []Hint{{}, {"1", 2, "worker", 3, 4, true}, {Slot: -1, Done: -1}} {
		got, err := DecodeHint(h.Encode())
		if err != nil || got != h {
			t.Errorf("%+v became %+v, %v", h, got, err)
		}
	}

	// DecodeOutcome must skip the fields of a newer version. If a
	// message is cut inside a field, DecodeOutcome must return an error.
	msg := full.Encode()
	newer := protowire.AppendFixed64(protowire.AppendTag(append([]byte{}, msg...), 100, protowire.Fixed64Type), 1)
	newer = protowire.AppendString(protowire.AppendTag(newer, 101, protowire.BytesType), "new")
	newer = protowire.AppendVarint(protowire.AppendTag(newer, 102, protowire.VarintType), 1)
	if got, err := DecodeOutcome(newer); err != nil || !reflect.DeepEqual(got, full) {
		t.Errorf("a message with unknown fields is decoded as %+v, %v", got, err)
	}
	ends := map[int]bool{0: true} // the lengths at which a field ends
	for at := 0; at < len(msg); {
		_, _, n := protowire.ConsumeField(msg[at:])
		at += n
		ends[at] = true
	}
	for n := range msg {
		if _, err := DecodeOutcome(msg[:n]); (err == nil) != ends[n] {
			t.Errorf("a message that is cut after %d bytes: error %v", n, err)
		}
	}
}

func FuzzOutcome(f *testing.F) {
	o := Outcome{ID: TaskID{"client", "session", "1"}, Err: []byte("error"), Slot: 3, Value: Value{Encoded: executor.Encoded{Kind: 2, Bytes: []byte("value")}}}
	f.Add(o.Encode())
	h := Hint{"1", 2, "worker", 3, 4, true}
	f.Add(h.Encode())
	f.Fuzz(func(t *testing.T, msg []byte) {
		if o, err := DecodeOutcome(msg); err == nil {
			o.Err, o.Value.Bytes, o.Value.Sum = orNil(o.Err), orNil(o.Value.Bytes), orNil(o.Value.Sum)
			if back, err := DecodeOutcome(o.Encode()); err != nil || !reflect.DeepEqual(back, o) {
				t.Fatalf("%+v became %+v, %v", o, back, err)
			}
		}
		if h, err := DecodeHint(msg); err == nil {
			if back, err := DecodeHint(h.Encode()); err != nil || back != h {
				t.Fatalf("%+v became %+v, %v", h, back, err)
			}
		}
	})
}

func orNil(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}
