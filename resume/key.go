package resume

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// A Key identifies a call in a journal. It is a digest, so equal keys mean
// equal calls.
type Key [16]byte

// String returns the key in hexadecimal, as in the journal.
func (k Key) String() string { return hex.EncodeToString(k[:]) }

// NewKey returns the key of a call that consists of the parts, such as the
// name of a function and its argument. The division into parts matters: "ab",
// "c" and "a", "bc" have different keys.
func NewKey(parts ...[]byte) Key {
	h := sha256.New()
	var length [8]byte
	for _, p := range parts {
		binary.LittleEndian.PutUint64(length[:], uint64(len(p)))
		h.Write(length[:])
		h.Write(p)
	}
	return Key(h.Sum(nil)[:len(Key{})])
}

// Keys gives different keys to equal calls. If a run has the same call several
// times, each occurrence must have its own record. The zero value is ready to
// use. Methods must not be called concurrently.
//
// Keys needs up to 40 bytes of memory for each call.
type Keys struct {
	// counts maps the first half of a key to the number of its calls.
	// Different calls with the same first half are counted together, but their
	// keys stay different.
	counts map[uint64]uint32
}

// Next returns the key for the next occurrence of a call. In the first call
// with k, it returns k. In the n-th call with k, it returns a key that depends
// only on k and n.
func (s *Keys) Next(k Key) Key {
	if s.counts == nil {
		s.counts = map[uint64]uint32{}
	}
	half := binary.LittleEndian.Uint64(k[:])
	n := s.counts[half]
	s.counts[half] = n + 1
	if n == 0 {
		return k
	}
	return NewKey(k[:], binary.LittleEndian.AppendUint32(nil, n))
}
