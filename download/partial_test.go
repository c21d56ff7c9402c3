package download

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestState_CheckPartial(t *testing.T) {
	for _, c := range []struct {
		name, span, tag string
		length          int64
		from, end       int64
		ok              bool
	}{
		{"to the end", "bytes 10-99/100", `"one"`, 90, 10, -1, true},
		{"a piece", "bytes 10-19/100", `"one"`, 10, 10, 20, true},
		{"a piece of unknown length", "bytes 10-19/100", `"one"`, -1, 10, 20, true},
		{"not to the end", "bytes 10-98/100", `"one"`, -1, 10, -1, false},
		{"short piece", "bytes 10-18/100", `"one"`, -1, 10, 20, false},
		{"long piece", "bytes 10-20/100", `"one"`, -1, 10, 20, false},
		{"wrong first byte", "bytes 9-19/100", `"one"`, -1, 10, 20, false},
		{"wrong total", "bytes 10-19/101", `"one"`, -1, 10, 20, false},
		{"unknown total", "bytes 10-19/*", `"one"`, -1, 10, 20, false},
		{"wrong length", "bytes 10-19/100", `"one"`, 9, 10, 20, false},
		{"another version", "bytes 10-19/100", `"two"`, 10, 10, 20, false},
		{"no validator", "bytes 10-19/100", "", 10, 10, 20, false},
		{"no range", "", `"one"`, 10, 10, 20, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := state{ETag: `"one"`, Size: 100}
			resp := &http.Response{Header: http.Header{"Content-Range": {c.span}, "Etag": {c.tag}}, ContentLength: c.length}
			if err := s.checkPartial(resp, c.from, c.end); (err == nil) != c.ok {
				t.Errorf("checkPartial = %v", err)
			}
		})
	}
}

// TestState_IncompleteLine appends a line to a state file. A full disk has cut
// the line before it.
func TestState_IncompleteLine(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	first := state{Format: stateFormat, ETag: `"one"`, Size: 100, Synced: 10, Pieces: []span{{20, 30}}}
	if err := appendState(f, first); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"synced":12,"pie`); err != nil {
		t.Fatal(err)
	}
	read := func() state {
		t.Helper()
		if _, err := f.Seek(0, 0); err != nil {
			t.Fatal(err)
		}
		s, ok := readState(f)
		if !ok {
			t.Fatal("the state is not valid")
		}
		return s
	}
	if s := read(); s.Synced != 10 || !slices.Equal(s.Pieces, first.Pieces) {
		t.Errorf("the state is %+v, want that of the first line", s)
	}
	second := state{Format: stateFormat, ETag: `"two"`, Size: 200}
	if err := appendState(f, second); err != nil {
		t.Fatal(err)
	}
	if s := read(); s.ETag != `"two"` || s.Size != 200 || s.Synced != 0 || s.Pieces != nil {
		t.Errorf("the state is %+v, want that of the second version alone", s)
	}
}
