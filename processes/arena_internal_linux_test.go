package processes

import (
	"bytes"
	"testing"

	"golang.org/x/sys/unix"

	"concert/internal/frame"
	"concert/processes/internal/shm"
)

// TestPlace_NoPage: a worker for whose result a page cannot be had writes it to
// the pipe.
func TestPlace_NoPage(t *testing.T) {
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
	s := &server{arena: shm.NewArena(mem), journal: journal}
	s.places = s.arena.NewAllocator()
	page := mem[len(mem)/2+1<<20:]
	if err := unix.Mprotect(page, unix.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	result := bytes.Repeat([]byte{7}, 600<<10)
	var p frame.Payload
	if !s.place(result, &p) {
		t.Error("the first has no place")
	}
	for range 3 {
		p = frame.Payload{}
		if s.place(result, &p) || p.Shared {
			t.Error("one that cannot be copied has a place")
		}
	}
	if s.placed != 1 || s.places.Len() != 1 {
		t.Errorf("%d were placed, %d places are taken; want 1 of each", s.placed, s.places.Len())
	}
}
