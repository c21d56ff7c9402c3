package processes

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"testing"

	"concert/processes/internal/shm"
)

// TestJournalLost: whatever part of the results the pool has read, the journal
// gives it all of the rest, or nothing where a large one did not go through the
// ring; never anything else.
func TestJournalLost(t *testing.T) {
	mem, file, err := shm.New("concert-test", shm.JournalSize)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip("this system has no such memory")
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
	out := newResults(w, j)
	var all []byte // what was put, in order
	recovered := 0
	for i := range 300 {
		f := bytes.Repeat([]byte{byte(i)}, 1+rand.IntN(3000))
		if rand.IntN(20) == 0 {
			f = bytes.Repeat([]byte{byte(i)}, directly+rand.IntN(directly))
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
				t.Fatalf("after %d bytes lost(%d) gives %d bytes, and not those that were put", len(all), have, len(got))
			}
		}
	}
	out.flush()
	w.Close()
	if b := <-read; !bytes.Equal(b, all) {
		t.Errorf("%d bytes came through the pipe, not the %d that were put", len(b), len(all))
	}
	if recovered == 0 {
		t.Error("nothing was ever recovered")
	}
}
