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

// NewKey returns the key of a call that consists of the parts, such as the name
// of a function and its argument. The limits between the parts count: the parts
// "ab", "c" have another key than "a", "bc".
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

// Keys gives keys of their own to equal calls. If a run has the same call
// several times, each of them must have its own record. The zero value is ready
// to use. Methods must not be called concurrently.
//
// Keys needs up to 40 bytes of memory for each call.
type Keys struct {
	// counts has the number of calls by the first half of their keys. If two
	// different calls have the same half, only their numbers change.
	counts map[uint64]uint32
}

// Next returns the key of the n-th call of this kind: if Next is called with k
// for the first time, it returns k. If it is called with k for the n-th time,
// it returns a key that depends on k and n only.
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
