package processes

import (
	"encoding/binary"
	"errors"
	"testing"

	"concert/internal/frame"
	"concert/processes/internal/shm"
)

// TestUnsentResults_Invalid: the pool does not trust a worker, so it must
// refuse a list with invalid sizes.
func TestUnsentResults_Invalid(t *testing.T) {
	j, err := shm.NewJournal(make([]byte, shm.JournalSize))
	if err != nil {
		t.Fatal(err)
	}
	const text = 2 // a kind whose values have different sizes
	for _, row := range []struct {
		name  string
		sizes [3]uint16
		base  int
		ok    bool
	}{
		{"small results", [3]uint16{3, frame.MaxListed, 0}, 0, true},
		{"a large result", [3]uint16{3, frame.MaxListed + 1, 0}, 0, false},
		{"a large result before the results", [3]uint16{1 << 15, 3, 3}, 0, false},
		{"a later beginning", [3]uint16{3, 3, 3}, 2, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			sizes, _ := j.List()
			for i, size := range row.sizes {
				binary.LittleEndian.PutUint16(sizes[2*i:], size)
			}
			l, err := unsentResults(j, text, row.base, 1, 3)
			if (err == nil) != row.ok || err != nil && !errors.Is(err, frame.ErrFrame) {
				t.Fatalf("unsentResults() = %v, want an error: %t", err, !row.ok)
			}
			if row.ok && (l.Len() != 2 || len(l.Bytes) != frame.MaxListed) {
				t.Errorf("%d results of %d bytes, want 2 of %d", l.Len(), len(l.Bytes), frame.MaxListed)
			}
		})
	}
}
