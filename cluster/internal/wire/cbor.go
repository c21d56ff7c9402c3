package wire

import "github.com/fxamacker/cbor/v2"

var (
	encoder = mustMode(cbor.EncOptions{}.EncMode())
	decoder = mustMode(cbor.DecOptions{MaxNestedLevels: 8, MaxArrayElements: 1024, MaxMapPairs: 1 << 16}.DecMode())
)

func mustMode[M any](m M, err error) M {
	if err != nil {
		panic(err)
	}
	return m
}

// Marshal encodes a message as CBOR. It is for rare messages. The messages of
// each task have the format in messages.go.
func Marshal(v any) ([]byte, error) { return encoder.Marshal(v) }

// Unmarshal decodes a message of Marshal. It refuses deeply nested messages.
// This is safe, because these messages contain no values of users.
func Unmarshal(b []byte, v any) error { return decoder.Unmarshal(b, v) }
