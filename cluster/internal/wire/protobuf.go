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

// maxField is the highest number of a field.
const maxField = 24

// message is a message that is encoded or decoded. A type of messages lists its
// fields once, in a method fields. It appends them to encoded, or sets them
// from found.
type message struct {
	encoded []byte

	decoding bool
	found    [maxField + 1]struct {
		present bool
		content []byte // a part of the message
		integer int64
	}
}

func (m *message) text(n protowire.Number, s *string) {
	switch f := &m.found[n]; {
	case f.present:
		*s = string(f.content)
	case !m.decoding && *s != "":
		m.encoded = protowire.AppendString(protowire.AppendTag(m.encoded, n, protowire.BytesType), *s)
	}
}

func (m *message) bytes(n protowire.Number, b *[]byte) {
	switch f := &m.found[n]; {
	case f.present:
		*b = f.content
	case !m.decoding && len(*b) > 0:
		m.encoded = protowire.AppendBytes(protowire.AppendTag(m.encoded, n, protowire.BytesType), *b)
	}
}

func (m *message) boolean(n protowire.Number, b *bool) {
	v := 0
	if *b {
		v = 1
	}
	number(m, n, &v)
	*b = v != 0
}

func number[T ~byte | ~int | ~int64](m *message, n protowire.Number, v *T) {
	switch f := &m.found[n]; {
	case f.present:
		*v = T(f.integer)
	case !m.decoding && *v != 0:
		m.encoded = protowire.AppendVarint(protowire.AppendTag(m.encoded, n, protowire.VarintType), uint64(*v))
	}
}

// parse finds the fields of a message. If a field occurs twice, the last value
// counts.
func (m *message) parse(msg []byte) error {
	m.decoding = true
	for len(msg) > 0 {
		n, kind, used := protowire.ConsumeTag(msg)
		if used < 0 {
			return fmt.Errorf("a field: %w", protowire.ParseError(used))
		}
		msg = msg[used:]
		var content []byte
		var integer uint64
		switch kind {
		case protowire.BytesType:
			content, used = protowire.ConsumeBytes(msg)
		case protowire.VarintType:
			integer, used = protowire.ConsumeVarint(msg)
		default:
			used = protowire.ConsumeFieldValue(n, kind, msg)
		}
		if used < 0 {
			return fmt.Errorf("field %d: %w", n, protowire.ParseError(used))
		}
		if n <= maxField && (kind == protowire.BytesType || kind == protowire.VarintType) {
			f := &m.found[n]
			f.present, f.content, f.integer = true, content, int64(integer)
		}
		msg = msg[used:]
	}
	return nil
}
