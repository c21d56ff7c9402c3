package child

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"testing"

	"concert/processes/internal/shm"
)

// TestWriter_UnreadResults: for every number of bytes that the pool has read,
// Unread must return exactly the remaining bytes, or nothing if a large frame
// was written to the pipe without the ring.
func TestWriter_UnreadResults(t *testing.T) {
	mem, file, err := shm.New("concert-test", shm.JournalSize)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip("this system has no shared memory")
	} else if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	defer shm.Unmap(mem)
	j, err := shm.NewJournal(mem)
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan []byte)
	go func() { b, _ := io.ReadAll(r); read <- b }()
	out := newWriter(w, j)
	var all []byte // all frames, in order
	recovered := 0
	for i := range 300 {
		f := bytes.Repeat([]byte{byte(i)}, 1+rand.IntN(3000))
		if rand.IntN(20) == 0 {
			f = bytes.Repeat([]byte{byte(i)}, maxInRing+rand.IntN(maxInRing))
		}
		if rand.IntN(2) == 0 {
			out.put(f)
		} else {
			out.put(f[:1], f[1:])
		}
		all = append(all, f...)
		have := max(0, len(all)-rand.IntN(shm.RingSize))
		if got := j.Unread(uint64(have)); len(got) > 0 {
			recovered++
			if !bytes.Equal(got, all[have:]) {
				t.Fatalf("after %d bytes, Unread(%d) returns %d bytes that differ from those that were put", len(all), have, len(got))
			}
		}
	}
	out.flush()
	w.Close()
	if b := <-read; !bytes.Equal(b, all) {
		t.Errorf("%d bytes arrived through the pipe, not the %d bytes that were put", len(b), len(all))
	}
	if recovered == 0 {
		t.Error("Unread has never returned bytes")
	}
}
