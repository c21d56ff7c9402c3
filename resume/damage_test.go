package resume_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"concert/resume"
)

// small is a journal with few records.
type small struct {
	path  string
	bytes []byte
	ends  []int // the end of each line
	data  []byte
}

// newSmall makes a journal with five records with the keys 0 to 4. If large is
// true, the third one has data in the data file.
func newSmall(t *testing.T, large bool) *small {
	s := &small{path: filepath.Join(t.TempDir(), "j")}
	j := open(t, s.path)
	for i := range 5 {
		if err := j.Append(keyOf(i), true, i, readers(s.dataOf(i, large))...); err != nil {
			t.Fatal(err)
		}
	}
	j.Close()
	s.bytes, _ = os.ReadFile(s.path)
	s.data, _ = os.ReadFile(s.path + ".data")
	for i, b := range s.bytes {
		if b == '\n' {
			s.ends = append(s.ends, i+1)
		}
	}
	if len(s.ends) != 6 || (len(s.data) > 0) != large {
		t.Fatalf("the journal has %d lines, and %d bytes of data", len(s.ends), len(s.data))
	}
	return s
}

func (s *small) dataOf(i int, large bool) string {
	if i == 2 && large {
		return strings.Repeat("a", 5000)
	}
	return fmt.Sprint("result ", i)
}

// write replaces the contents of the two files.
func (s *small) write(t *testing.T, journal, data []byte) {
	for name, b := range map[string][]byte{s.path: journal, s.path + ".data": data} {
		if len(b) == 0 && name != s.path {
			continue
		}
		if err := os.WriteFile(name, b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

// check opens the journal, and checks that it has the records for which intact
// returns true. Then it appends a record, and opens the journal again.
func (s *small) check(t *testing.T, what string, large bool, damaged int, intact func(i int) bool) {
	t.Helper()
	for round := range 2 {
		if b, _ := os.ReadFile(s.path); round == 1 && len(b) > 0 && b[len(b)-1] != '\n' {
			t.Errorf("%s: Append has not removed the partial line", what)
		}
		j, err := resume.Open(s.path, nil)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		for i := range 5 {
			if intact(i) {
				wantEntry(t, j, keyOf(i), true, fmt.Sprint(i), s.dataOf(i, large))
			} else if e, ok := j.Find(keyOf(i)); ok && e.Check() == nil {
				t.Errorf("%s: the damaged record %d was found", what, i)
			}
		}
		if round == 1 {
			wantEntry(t, j, keyOf("new"), false, "", "x")
		} else if j.Damaged() != damaged {
			t.Errorf("%s: %d damaged lines, want %d", what, j.Damaged(), damaged)
		} else if err := j.Append(keyOf("new"), false, nil, readers("x")...); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		j.Close()
		if t.Failed() {
			t.FailNow()
		}
	}
}

// TestOpen_Truncated: if the file is truncated at any byte, the complete lines
// must count, and the journal must be usable.
func TestOpen_Truncated(t *testing.T) {
	t.Parallel()
	s := newSmall(t, false)
	for size := range s.bytes {
		s.write(t, s.bytes[:size], nil)
		damaged, complete := 1, 0
		for _, end := range s.ends {
			if end <= size {
				complete++
			}
			if end == size {
				damaged = 0
			}
		}
		if size < s.ends[0] {
			damaged = 0 // a new journal
		}
		s.check(t, fmt.Sprint(size, " bytes"), false, damaged, func(i int) bool { return i+1 < complete })
	}
}

// TestOpen_HeaderTruncated: if the header is not complete, and there is a data
// file, the data file must not be used.
func TestOpen_HeaderTruncated(t *testing.T) {
	t.Parallel()
	s := newSmall(t, true)
	s.write(t, s.bytes[:20], nil)
	if _, err := resume.Open(s.path, nil); !errors.Is(err, resume.ErrNotJournal) {
		t.Errorf("Open() = %v", err)
	}
	if after, _ := os.ReadFile(s.path + ".data"); !bytes.Equal(after, s.data) {
		t.Error("the data file has changed")
	}
}

// TestOpen_Flipped: if one byte is changed, only the records of its line may be
// lost.
func TestOpen_Flipped(t *testing.T) {
	t.Parallel()
	s := newSmall(t, true)
	for at := range s.bytes {
		for _, flip := range []byte{0xff, 1} {
			b := bytes.Clone(s.bytes)
			b[at] ^= flip
			s.write(t, b, s.data)
			line := 0
			for s.ends[line] <= at {
				line++
			}
			joined := s.ends[line]-1 == at // the changed byte is the line feed, so the next line is damaged, too
			s.check(t, fmt.Sprint("byte ", at), true, 1, func(i int) bool { return i+1 != line && !(joined && i+1 == line+1) })
		}
	}
}

// TestOpen_DataFlipped: if one byte of the data file is changed, only the
// record with this byte may be lost.
func TestOpen_DataFlipped(t *testing.T) {
	t.Parallel()
	s := newSmall(t, true)
	start := bytes.IndexByte(s.data, '\n') + 1
	for at := 0; at < len(s.data); at++ {
		if at > start+10 && at < len(s.data)-10 {
			at += 100
		}
		b := bytes.Clone(s.data)
		b[min(at, len(b)-1)] ^= 0x10
		s.write(t, s.bytes, b)
		s.check(t, fmt.Sprint("byte ", at), true, 0, func(i int) bool { return i != 2 || at < start })
	}
	for size := range start + 20 {
		s.write(t, s.bytes, s.data[:size+1])
		s.check(t, fmt.Sprint(size+1, " bytes of data"), true, 1, func(i int) bool { return i != 2 })
	}
}

// TestOpen_Zeros: a loss of power may leave zeros instead of the last bytes,
// or behind them. Open must treat such lines as damaged.
func TestOpen_Zeros(t *testing.T) {
	t.Parallel()
	s := newSmall(t, false)
	for _, n := range []int{1, 511, 4096, 20 << 20} {
		s.write(t, append(bytes.Clone(s.bytes), make([]byte, n)...), nil)
		s.check(t, fmt.Sprint(n, " zeros"), false, 1, func(int) bool { return true })
	}
	for at := s.ends[3]; at < len(s.bytes); at++ {
		b := bytes.Clone(s.bytes)
		clear(b[at:])
		s.write(t, b, nil)
		damaged := 1
		s.check(t, fmt.Sprint("zeros from ", at), false, damaged, func(i int) bool { return i < 3 || i == 3 && at >= s.ends[4] })
	}
	for _, n := range []int{1, s.ends[0]} {
		s.write(t, make([]byte, n), nil)
		s.check(t, fmt.Sprint("only ", n, " zeros"), false, 0, func(int) bool { return false })
	}
}

// TestOpen_LongLine: a line that is longer than any record must be skipped.
func TestOpen_LongLine(t *testing.T) {
	t.Parallel()
	s := newSmall(t, false)
	b := append(bytes.Clone(s.bytes[:s.ends[2]]), bytes.Repeat([]byte("x"), 40<<20)...)
	b = append(append(b, '\n'), s.bytes[s.ends[2]:]...)
	s.write(t, b, nil)
	s.check(t, "a long line", false, 1, func(int) bool { return true })
}
