package wire

import "concert/executor"

// Value is an argument or a result. It is in the message, or in BlobStream if
// it is large.
type Value struct {
	executor.Encoded        // 16: Kind, 17: Bytes
	Blob             string // 18: the name of its parts in BlobStream
	Size             int    // 19: size of all parts together
	Sum              []byte // 20: SHA-256
}

func (v *Value) fields(m *message) {
	number(m, 16, &v.Kind)
	m.bytes(17, &v.Bytes)
	m.text(18, &v.Blob)
	number(m, 19, &v.Size)
	m.bytes(20, &v.Sum)
}
