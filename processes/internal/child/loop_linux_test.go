package child

import (
	"bytes"
	"testing"

	"golang.org/x/sys/unix"

	"concert/internal/frame"
	"concert/processes/internal/shm"
)

// TestPlace_NoPageInArena: if the system has no memory for a page of the arena,
// place must return false, so that the result is sent through the pipe.
func TestPlace_NoPageInArena(t *testing.T) {
	mem, file, err := shm.New("concert-test", 4<<20)
	if err != nil {
		t.Fatal(err)
	}
	file.Close()
	defer shm.Unmap(mem)
	journal, err := shm.NewJournal(make([]byte, shm.JournalSize))
	if err != nil {
		t.Fatal(err)
	}
	w := &worker{arena: shm.NewArena(mem), journal: journal}
	w.results = w.arena.NewAllocator()
	page := mem[len(mem)/2+1<<20:]
	if err := unix.Mprotect(page, unix.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	result := bytes.Repeat([]byte{7}, 600<<10)
	var p frame.Payload
	if !w.place(result, &p) {
		t.Error("place() = false for the first result")
	}
	for range 3 {
		p = frame.Payload{}
		if w.place(result, &p) || p.Shared {
			t.Error("place() = true for a result that cannot be copied")
		}
	}
	if w.placed != 1 || w.results.Len() != 1 {
		t.Errorf("%d results placed, %d spans allocated; want 1 of each", w.placed, w.results.Len())
	}
}
