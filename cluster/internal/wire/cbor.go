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

// Marshal encodes what is said seldom.
func Marshal(v any) ([]byte, error) { return encoder.Marshal(v) }

// Unmarshal decodes what was said so, which is nested little, as nothing in it
// is what users made.
func Unmarshal(b []byte, v any) error { return decoder.Unmarshal(b, v) }
