package executor

import "encoding/binary"

// List contains encoded values of one kind. A List takes less space than a
// slice of [Encoded], and its values can be sent together.
type List struct {
	// Kind is the kind of all values.
	Kind byte
	// Sizes has the size of each value: 2 bytes, little endian. It is empty if
	// FixedSize of the kind is not 0.
	Sizes []byte
	// Bytes has the bytes of the values, one value after the other.
	Bytes []byte
}

// FixedSize returns the size in bytes of all values of a kind, or 0 if their
// sizes differ.
func FixedSize(kind byte) int {
	switch kind {
	case asInt, asUint, asFloat:
		return scalarSize
	case asBool:
		return 1
	}
	return 0
}

// Len returns the number of values.
func (l *List) Len() int {
	if size := FixedSize(l.Kind); size > 0 {
		return len(l.Bytes) / size
	}
	return len(l.Sizes) / 2
}

// Next removes and returns the first value. The List must have one.
func (l *List) Next() Encoded {
	size := FixedSize(l.Kind)
	if size == 0 {
		size = int(binary.LittleEndian.Uint16(l.Sizes))
		l.Sizes = l.Sizes[2:]
	}
	e := Encoded{l.Kind, l.Bytes[:size:size]}
	l.Bytes = l.Bytes[size:]
	return e
}
