package shm_test

import (
	"bytes"
	"testing"

	"concert/processes/internal/shm"
)

// TestJournal_List: if the result of a call is in the list, the call counts
// as ended when the worker has begun the next call.
func TestJournal_List(t *testing.T) {
	j, err := shm.NewJournal(make([]byte, shm.JournalSize))
	if err != nil {
		t.Fatal(err)
	}
	const seq, n = 1<<32 - 1, 3
	if _, _, _, ok := j.ListOf(); ok {
		t.Error("the list of a new journal is in use")
	}
	j.SetList(seq, 1023, 0)
	if s, first, kind, ok := j.ListOf(); s != seq || first != 1023 || kind != 0 || !ok {
		t.Errorf("ListOf() = %d, %d, %d, %v", s, first, kind, ok)
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

// TestJournal_RingAndList: a frame that reaches the end of the ring must
// continue at the beginning of the ring, and must not write into the list.
func TestJournal_RingAndList(t *testing.T) {
	j, err := shm.NewJournal(make([]byte, shm.JournalSize))
	if err != nil {
		t.Fatal(err)
	}
	sizes, _ := j.List()
	copy(sizes, "12345678")
	j.Put(shm.RingSize-2, []byte("abcd"))
	j.Written().Store(shm.RingSize + 2)
	if got := j.Unread(shm.RingSize - 2); string(got) != "abcd" {
		t.Errorf("the ring has %q", got)
	}
	if !bytes.HasPrefix(sizes, []byte("12345678")) {
		t.Errorf("the list has %q", sizes[:8])
	}
}
