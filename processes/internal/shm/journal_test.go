package shm_test

import (
	"bytes"
	"testing"

	"concert/processes/internal/shm"
)

// TestJournal_List: a call whose result is in the list has ended when the
// worker has begun the next call.
func TestJournal_List(t *testing.T) {
	j, err := shm.NewJournal(make([]byte, shm.JournalSize))
	if err != nil {
		t.Fatal(err)
	}
	const seq, n = 1<<32 - 1, 3
	j.SetList(seq, 15)
	if s, kind := j.List(); s != seq || kind != 15 {
		t.Errorf("List() = %d, %d", s, kind)
	}
	j.Offer(seq, n)
	for call, want := range []int{0, 1, 2} {
		if !j.Begin(seq, call) {
			t.Fatalf("call %d cannot begin", call)
		}
		if got := j.Ended(seq, n); got != want {
			t.Errorf("call %d has begun: %d have ended, want %d", call, got, want)
		}
	}
	if got := j.Ended(seq-1, n); got != 0 {
		t.Errorf("%d calls of another frame have ended", got)
	}
}

// TestJournal_RingAndList: frames at the end of the ring continue at its
// beginning, and not in the list.
func TestJournal_RingAndList(t *testing.T) {
	j, err := shm.NewJournal(make([]byte, shm.JournalSize))
	if err != nil {
		t.Fatal(err)
	}
	copy(j.Numbers(0, 1), "12345678")
	j.Put(shm.RingSize-2, []byte("abcd"))
	j.Written().Store(shm.RingSize + 2)
	if got := j.Unread(shm.RingSize - 2); string(got) != "abcd" {
		t.Errorf("the ring has %q", got)
	}
	if got := j.Numbers(0, 1); !bytes.Equal(got, []byte("12345678")) {
		t.Errorf("the list has %q", got)
	}
}
