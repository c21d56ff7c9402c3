package wire

import (
	"google.golang.org/protobuf/encoding/protowire"

	"concert/executor"
)

// Value is an argument or a result. It is in the message, or in BlobStream if
// it is large.
type Value struct {
	executor.Encoded        // 16: Kind, 17: Bytes
	Blob             string // 18: the name of its parts in BlobStream
	Size             int    // 19: size of all parts together
	Sum              []byte // 20: SHA-256
}

func (v *Value) put(f *fields) {
	f.number(16, int64(v.Kind))
	f.bytes(17, v.Bytes)
	f.text(18, v.Blob)
	f.number(19, int64(v.Size))
	f.bytes(20, v.Sum)
}

func (v *Value) take(n protowire.Number, b []byte, number int64) {
	switch n {
	case 16:
		v.Kind = byte(number)
	case 17:
		v.Bytes = b
	case 18:
		v.Blob = string(b)
	case 19:
		v.Size = int(number)
	case 20:
		v.Sum = b
	}
}
