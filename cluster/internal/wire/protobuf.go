package wire

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Per-task messages (Envelope, Outcome, Hint) use the wire format of Protocol
// Buffers (protobuf.dev/programming-guides/encoding), with hand-written code.
// Zero values are left out, and readers skip unknown fields, so programs of
// different versions understand each other. This takes a tenth of the time of
// CBOR with reflection, which is used for rare messages.

// fields is a message under construction.
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

// readFields calls take with each field of a message: with its number and its
// bytes, which are a part of msg, or its integer. If a field occurs twice, take
// is called twice, and the last value counts.
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
