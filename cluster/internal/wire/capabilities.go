package wire

import (
	"encoding/binary"
	"maps"
	"slices"
)

// CapabilitySet is the set of functions that a worker offers: their names, with
// the digests of their signatures. Workers with the same set can run the same
// tasks, and share a consumer. Another version of a program, with other
// functions, has another set. A client can send a task to any set that has the
// function of the task.
type CapabilitySet struct {
	Functions map[string]string `cbor:"1,keyasint"`
}

// Name returns the name of a set: the digest of its content. Different sets
// have different names.
func (c *CapabilitySet) Name() string {
	var text []byte
	add := func(s string) { text = append(binary.AppendUvarint(text, uint64(len(s))), s...) }
	for _, f := range slices.Sorted(maps.Keys(c.Functions)) {
		add(f)
		add(c.Functions[f])
	}
	return Digest(string(text))
}
