package values

import (
	"fmt"
	"math"
	"math/bits"
	"reflect"
)

// memory counts the memory that a decoded value needs. A decoder counts the
// memory of each part before it allocates that memory. An encoder uses the
// same methods to compute the memory that the decoder will count.
type memory struct {
	used  int
	limit int // the maximum of used
}

// A value may need baseMemory bytes of memory, plus memoryPerByte bytes for
// each byte of its encoding. A byte needs the most memory if it becomes a
// string header or an entry of a map.
const (
	baseMemory    = 1 << 20
	memoryPerByte = 64
)

// memoryFor returns the counter for decoding an encoding of n bytes.
func memoryFor(n int) memory {
	return memory{limit: baseMemory + memoryPerByte*min(n, (math.MaxInt-baseMemory)/memoryPerByte)}
}

// padding returns the number of bytes to append to an encoding of n bytes,
// so that its decoder may use the memory that m has counted.
func (m *memory) padding(n int) int {
	missing := m.used - memoryFor(n).limit
	if missing <= 0 {
		return 0
	}
	return (missing-1)/memoryPerByte + 1
}

// spend counts n parts of size bytes each.
func (m *memory) spend(n, size int) error {
	if size > 0 && n > (m.limit-m.used)/size {
		return m.exceeded()
	}
	m.used += n * size
	return nil
}

func (m *memory) exceeded() error {
	return fmt.Errorf("the value needs more than %d bytes of memory, the maximum for an encoding of its length (%d plus %d for each byte): "+
		"send fewer elements; an encoder in another language must append bytes of value 0 to the encoding", m.limit, baseMemory, memoryPerByte)
}

// str counts the contents of a string.
func (m *memory) str(n int) error {
	if n > m.limit-m.used {
		return m.exceeded()
	}
	m.used += n
	return nil
}

// method counts the memory that a method of a type needs to decode the
// bytes. For most types, it counts the number of the bytes. For some types
// of the standard library, it counts an upper bound that it computes from
// the bytes.
func (m *memory) method(of *methods, encoded []byte) error {
	if of.memory != nil {
		return m.spend(1, of.memory(encoded))
	}
	return m.spend(len(encoded), 1)
}

// errorBytes counts an error that Errors.Decode decodes.
func (m *memory) errorBytes(n int) error { return m.spend(n, 2) }

// zone counts the memory of the *time.Location of a decoded time.
func (m *memory) zone() error { return m.spend(1, 160) }

// pointed counts the variable to which a pointer or an interface refers.
func (m *memory) pointed(t reflect.Type) error { return m.spend(1, int(t.Size())) }

// entries counts a map of n entries. The map needs eight slots, or a larger
// power of two of which at most 7/8 are used. A large key or element needs
// separate memory.
func (m *memory) entries(n int, key, elem reflect.Type) error {
	const header = 48
	if err := m.spend(1, header); err != nil || n == 0 {
		return err
	}
	slot := 1
	for _, t := range [...]reflect.Type{key, elem} {
		if size := int(t.Size()); size <= 128 {
			slot += size
		} else {
			slot += 8
			if err := m.spend(n, size); err != nil {
				return err
			}
		}
	}
	slots := 8
	if n > slots {
		slots = 1 << bits.Len(uint(n+n/7))
	}
	return m.spend(slots, slot)
}
