package processes

import (
	"bytes"
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"concert/internal/frame"
)

// TestPlace_NoPage: a worker for whose result a page cannot be had writes it to
// the pipe.
func TestPlace_NoPage(t *testing.T) {
	mem, file, err := newShared("concert-test", 4<<20)
	if err != nil {
		t.Fatal(err)
	}
	file.Close()
	defer unmapShared(mem)
	s := &server{arena: &arena{mem: mem}, journal: journal{make([]byte, journalSize)}}
	s.places.size = len(s.arena.results())
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
	if s.placed != 1 || len(s.places.taken) != 1 {
		t.Errorf("%d were placed, %d places are taken; want 1 of each", s.placed, len(s.places.taken))
	}
}

// TestTouch: a fault is an error, and a panic stays one.
func TestTouch(t *testing.T) {
	mem, err := unix.Mmap(-1, 0, 4096, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(mem)
	for name, do := range map[string]func(){
		"write": func() { mem[1] = 1 },
		"read":  func() { bytes.Clone(mem) },
		"copy":  func() { copy(mem, make([]byte, 4096)) },
	} {
		if err := touch(do); !errors.Is(err, ErrMemory) {
			t.Errorf("%s: %v, want ErrMemory", name, err)
		}
	}
	if err := touch(func() {}); err != nil {
		t.Error(err)
	}
	defer func() {
		if v := recover(); v != "mine" {
			t.Errorf("panic %v, want mine", v)
		}
	}()
	touch(func() { panic("mine") })
}
