package wire

import (
	"encoding/binary"
	"maps"
	"slices"
)

// CapabilitySet is the functions that a kind of worker has: their names, with the
// digests of their signatures. Workers of one contract can run the same tasks,
// and share a consumer. It is named by a digest of all of it, so a program of
// another version, with another set of functions, is another contract; a client
// sends a task to any that has its function.
type CapabilitySet struct {
	Functions map[string]string `cbor:"1,keyasint"`
}

// Name returns the digest of a contract, by which it is known. Different
// contracts have different names, whatever their functions are called.
func (c *CapabilitySet) Name() string {
	var text []byte
	add := func(s string) { text = append(binary.AppendUvarint(text, uint64(len(s))), s...) }
	for _, f := range slices.Sorted(maps.Keys(c.Functions)) {
		add(f)
		add(c.Functions[f])
	}
	return Digest(string(text))
}
