package resume

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"concert"
)

// FuzzParseLine: parseLine must decode lines of appendLine. For all other
// bytes, it must not panic, and must not return negative numbers.
func FuzzParseLine(f *testing.F) {
	f.Add([]byte(`{"key":"00112233445566778899aabbccddeeff","ok":true,"data":["YQ==",[1,2,"0000000a"]],"info":{}`), []byte("a"), int64(7), int64(1))
	f.Add([]byte(`{"key":"00112233445566778899aabbccddeeff","ok":false`), []byte{}, int64(0), int64(0))
	f.Add([]byte(`{"key":"00112233445566778899aabbccddeeff","ok":true,"data":[[9223372036854775807,9223372036854775807,"ffffffff"]]`), []byte("x"), int64(1<<62), int64(1<<62))
	f.Add([]byte(`{"key":"00112233445566778899aabbccddeeff","ok":true,"data":[],"info":`), []byte("x"), int64(-1), int64(1))
	f.Fuzz(func(t *testing.T, content, inline []byte, offset, length int64) {
		parseLine(content)
		parseHeader(content, journalFormat)
		// Most random lines have a wrong checksum, so the test also makes a
		// line with a correct checksum.
		line := bytes.TrimSuffix(appendSum(bytes.Clone(content), 0), []byte("\n"))
		if r, err := parseLine(line); err == nil {
			for _, p := range r.data {
				if p.inline == nil && (p.place.offset < 0 || p.place.length < 0) {
					t.Errorf("a negative number in %+v", p)
				}
			}
		}
		want := record{ok: len(content)%2 == 0, data: []part{{inline: append([]byte{}, inline...)}}, info: json.RawMessage("{}")}
		copy(want.key[:], content)
		if offset >= 0 && length >= 0 {
			want.data = append(want.data, part{place: place{offset, length, uint32(len(content))}})
		}
		line = appendLine(nil, want)
		if !json.Valid(line) || bytes.Count(line, []byte("\n")) != 1 {
			t.Errorf("%q is not one line of JSON", line)
		}
		if got, err := parseLine(bytes.TrimSuffix(line, []byte("\n"))); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, %v", line, got, err)
		}
	})
}

// FuzzOpen: a file with any content must be opened or refused. It must not be
// changed if it is refused.
func FuzzOpen(f *testing.F) {
	h := header(journalFormat, strings.Repeat("0", idSize))
	line := appendLine(nil, record{data: []part{{inline: []byte("x")}, {place: place{1 << 40, 1 << 60, 3}}}})
	f.Add(h, []byte{})
	f.Add(append(bytes.Clone(h), line...), header(dataFormat, strings.Repeat("0", idSize)))
	f.Add(line, h)
	f.Add([]byte("\x00\x00"), []byte("\x00"))
	f.Fuzz(func(t *testing.T, content, data []byte) {
		path := filepath.Join(t.TempDir(), "j")
		os.WriteFile(path, content, 0o666)
		if len(data) > 0 {
			os.WriteFile(path+".data", data, 0o666)
		}
		j, err := Open(path, nil)
		if err != nil {
			if got, _ := os.ReadFile(path); !bytes.Equal(got, content) && !isUnwritten(content, int64(len(content)), journalFormat) {
				t.Errorf("the file has changed: %q", got)
			}
			return
		}
		defer j.Close()
		for k := range j.index.lines {
			if e, ok := j.Find(k); ok {
				e.Check()
			}
		}
		if err := j.Append(Key{1}, true, nil, strings.NewReader(strings.Repeat("x", 5000))); err != nil {
			t.Fatal(err)
		}
		if e, ok := j.Find(Key{1}); !ok || e.Check() != nil {
			t.Error("the new record was not found")
		}
	})
}

// TestJournal_DataSyncFails: if a sync of the data file fails, all records
// whose data it may have lost must fail. Later records must succeed.
func TestJournal_DataSyncFails(t *testing.T) {
	j, err := Open(filepath.Join(t.TempDir(), "j"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	large := strings.Repeat("x", 10_000)
	stage := func(k byte) *staged {
		s, err := j.stage(Key{k}, true, nil, []io.Reader{strings.NewReader(large)})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	first := stage(1)
	j.mu.Lock()
	j.batch = nil // the next record starts another batch, which is written later
	j.mu.Unlock()
	second := stage(2)
	r, w, err := os.Pipe() // a pipe cannot be synced
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	file := j.data.file
	j.data.file = w
	if err := first.wait(); err == nil || !strings.Contains(err.Error(), "sync "+j.data.path) {
		t.Errorf("the first record: %v", err)
	}
	j.data.file = file
	if err := second.wait(); err == nil || !strings.Contains(err.Error(), "an earlier sync of the data file has failed") {
		t.Errorf("the second record: %v", err)
	}
	if err := stage(3).wait(); err != nil {
		t.Errorf("the third record: %v", err)
	}
	if j.Len() != 1 {
		t.Errorf("%d records", j.Len())
	}
}

// TestJournal_WriteFails: if a line can be neither written completely nor
// removed, the next Append must first remove it.
func TestJournal_WriteFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	j, err := Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	file := j.file
	if _, err := file.WriteAt([]byte("a part of a line"), j.end); err != nil {
		t.Fatal(err)
	}
	readOnly, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer readOnly.Close()
	j.file = readOnly
	for range 2 {
		if err := j.Append(Key{1}, true, nil); err == nil || !j.torn {
			t.Errorf("Append() = %v, torn %v", err, j.torn)
		}
	}
	j.file = file
	if err := j.Append(Key{2}, true, nil); err != nil {
		t.Error(err)
	}
	j.Close()
	again, err := Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if again.Len() != 1 || again.Damaged() != 0 {
		t.Errorf("%d records, %d damaged lines", again.Len(), again.Damaged())
	}
}

// TestRun_Counts: the errors of calls that were canceled or have not started
// must not be recorded.
func TestRun_Counts(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r := &run[int, int]{ctx: ctx}
	for _, err := range []error{concert.ErrCanceled, context.Canceled, concert.ErrClosed, fmt.Errorf("x: %w", concert.ErrNotRegistered)} {
		if r.counts(err) {
			t.Errorf("%v counts", err)
		}
	}
	failure := errors.New("failed")
	if !r.counts(failure) || !r.counts(context.DeadlineExceeded) {
		t.Error("a failure does not count")
	}
	cancel()
	if r.counts(failure) {
		t.Error("a failure after the end of the context counts")
	}
}

// TestJournal_SyncFails: after a failed sync, all lines that were not durable
// must be removed, and their records must fail. This includes the records of
// the next batch.
func TestJournal_SyncFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	j, err := Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	stage := func(k byte) *staged {
		s, err := j.stage(Key{k}, true, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if err := stage(1).wait(); err != nil {
		t.Fatal(err)
	}
	first := stage(2)
	j.batch = nil // as during the sync of the first batch
	second := stage(3)
	file := j.file
	if j.file, err = os.Open(path); err != nil {
		t.Fatal(err)
	}
	j.file.Close() // makes the sync and the truncation fail
	if err := first.wait(); err == nil {
		t.Error("the first record has no error")
	}
	j.file = file
	if err := second.wait(); err == nil || !strings.Contains(err.Error(), "an earlier sync of the journal has failed") {
		t.Errorf("the second record: %v", err)
	}
	if err := stage(4).wait(); err != nil {
		t.Errorf("a record after the failure: %v", err)
	}
	j.Close()
	again, err := Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if again.Len() != 2 || again.Damaged() != 0 {
		t.Errorf("%d records, %d damaged lines; want 2, 0", again.Len(), again.Damaged())
	}
}

// TestJournal_WritesAtOnce: if the process is killed while the journal syncs
// other records, a new record must survive.
func TestJournal_WritesAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	j, err := Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	s, err := j.stage(Key{1}, true, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil || strings.Count(string(text), "\n") != 2 {
		t.Errorf("the file has %q, %v; want the header and a record", text, err)
	}
	if err := s.wait(); err != nil {
		t.Error(err)
	}
}
