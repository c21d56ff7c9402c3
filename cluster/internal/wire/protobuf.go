package wire

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// What is said of every task, an Envelope, an Outcome or a Hint, is fields with
// numbers, in the wire format of Protocol Buffers
// (protobuf.dev/programming-guides/encoding). Zeros are left out, and a reader
// skips what it does not know: so programs of different versions understand
// each other. Made and read by hand it takes a tenth of the time of CBOR by
// reflection, in which the rest is that is said seldom.

// fields is a message that is being made.
type fields []byte

func (f *fields) text(n protowire.Number, s string) {
	if s != "" {
		*f = protowire.AppendString(protowire.AppendTag(*f, n, protowire.BytesType), s)
	}
}

func (f *fields) bytes(n protowire.Number, b []byte) {
	if len(b) > 0 {
		*f = protowire.AppendBytes(protowire.AppendTag(*f, n, protowire.BytesType), b)
	}
}

func (f *fields) number(n protowire.Number, v int64) {
	if v != 0 {
		*f = protowire.AppendVarint(protowire.AppendTag(*f, n, protowire.VarintType), uint64(v))
	}
}

func (f *fields) boolean(n protowire.Number, v bool) {
	if v {
		f.number(n, 1)
	}
}

// readFields gives take the fields of a message: its bytes, which are the
// message's own, or its number. Of one that comes twice the last one counts.
func readFields(msg []byte, take func(n protowire.Number, bytes []byte, number int64)) error {
	for len(msg) > 0 {
		n, kind, used := protowire.ConsumeTag(msg)
		if used < 0 {
			return fmt.Errorf("a field: %w", protowire.ParseError(used))
		}
		msg = msg[used:]
		switch kind {
		case protowire.BytesType:
			var b []byte
			if b, used = protowire.ConsumeBytes(msg); used >= 0 {
				take(n, b, 0)
			}
		case protowire.VarintType:
			var v uint64
			if v, used = protowire.ConsumeVarint(msg); used >= 0 {
				take(n, nil, int64(v))
			}
		default:
			used = protowire.ConsumeFieldValue(n, kind, msg)
		}
		if used < 0 {
			return fmt.Errorf("field %d: %w", n, protowire.ParseError(used))
		}
		msg = msg[used:]
	}
	return nil
}
