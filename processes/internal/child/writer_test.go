package child

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"concert/executor"
	"concert/internal/frame"
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

// TestWriter_List: small results are sent in one frame, before any other frame,
// and before a result of another frame of calls or of another kind. The writer
// reports that the timer had to send results.
func TestWriter_List(t *testing.T) {
	j, err := shm.NewJournal(make([]byte, shm.JournalSize))
	if err != nil {
		t.Fatal(err)
	}
	r, pipe, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out := newWriter(pipe, j)
	list := func(seq, index uint32, kind byte, size int) (late bool) {
		out.armed = true // so that the timer does not run
		value := executor.Encoded{Kind: kind, Bytes: bytes.Repeat([]byte{byte(index)}, size)}
		stored, late := out.addToList(0, &frame.Outcome{ID: frame.ID{Seq: seq, Index: index}, Ran: 5, Value: frame.Payload{Encoded: value}})
		if !stored {
			t.Errorf("call %d of frame %d was not stored", index, seq)
		}
		return late
	}
	list(1, 0, 13, 8)
	list(1, 1, 13, 8)
	out.put(frame.AppendFailure(nil, frame.Outcome{ID: frame.ID{Seq: 1, Index: 2}}))
	list(1, 3, 13, 8)
	list(1, 4, 15, 8)
	list(2, 0, 15, 8)
	out.flushLate()
	if late := list(2, 1, 15, 8); !late {
		t.Error("addToList does not report that the timer has run")
	}
	if late := list(2, 2, 15, 8); late {
		t.Error("addToList reports twice that the timer has run")
	}
	list(3, 0, 2, 5)
	list(3, 1, 2, 0)
	list(3, 2, 2, 700)
	for i := range uint32(60) { // more than the list can contain
		list(4, i, 2, 1000)
	}
	out.collect()
	out.collect()
	out.flush()
	pipe.Close()
	if stored, _ := out.addToList(0, &frame.Outcome{ID: frame.ID{Index: frame.MaxList}}); stored {
		t.Error("the result of a call that has no place in the list was stored")
	}

	var got []string
	for in := frame.NewReader(r, frame.MaxFrame); ; {
		kind, body, err := in.Next()
		if err == io.EOF {
			break
		}
		if kind == frame.Failure && err == nil {
			got = append(got, "failure")
			continue
		}
		n, parseErr := frame.ParseResultList(body)
		if err != nil || parseErr != nil || kind != frame.ResultList {
			t.Fatalf("frame %c: %v, %v", kind, err, parseErr)
		}
		calls, size := n.Len(), len(n.Bytes)
		for i := range calls {
			if v := n.Next(); len(bytes.Trim(v.Bytes, string([]byte{byte(n.ID.Index) + byte(i)}))) > 0 {
				t.Errorf("frame %d: the result of call %d is %v", n.ID.Seq, int(n.ID.Index)+i, v)
			}
		}
		got = append(got, fmt.Sprintf("%d calls from %d of %d, kind %d, %d bytes, in %d", calls, n.ID.Index, n.ID.Seq, n.Kind, size, n.Ran))
	}
	want := []string{
		"2 calls from 0 of 1, kind 13, 16 bytes, in 10", "failure", "1 calls from 3 of 1, kind 13, 8 bytes, in 5", "1 calls from 4 of 1, kind 15, 8 bytes, in 5",
		"1 calls from 0 of 2, kind 15, 8 bytes, in 5", "2 calls from 1 of 2, kind 15, 16 bytes, in 10",
		"3 calls from 0 of 3, kind 2, 705 bytes, in 15", "32 calls from 0 of 4, kind 2, 32000 bytes, in 160", "28 calls from 32 of 4, kind 2, 28000 bytes, in 140",
	}
	if !slices.Equal(got, want) {
		t.Errorf("frames:\n%q\nwant:\n%q", got, want)
	}
}

// TestWriter_FirstList: the journal must describe the list of a worker's
// first results correctly, for any kind of result and any frame number.
func TestWriter_FirstList(t *testing.T) {
	j, err := shm.NewJournal(make([]byte, shm.JournalSize))
	if err != nil {
		t.Fatal(err)
	}
	_, pipe, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	out := newWriter(pipe, j)
	out.armed = true // so that the timer does not run
	out.addToList(0, &frame.Outcome{Value: frame.Payload{Encoded: executor.Encoded{Bytes: []byte{1}}}})
	if seq, first, kind, ok := j.ListOf(); seq != 0 || first != 0 || kind != 0 || !ok {
		t.Errorf("the list begins with call %d of frame %d, and its kind is %d; in use: %v", first, seq, kind, ok)
	}
}
