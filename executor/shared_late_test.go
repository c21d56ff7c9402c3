package executor

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"concert/internal/values"
)

// lateStore is a LateSharer.
type lateStore struct{ *store }

func (s lateStore) SharedGroup() *WorkerGroup { return s.group }

// TestShared_Late: a LateSharer must store a value when the first argument for
// it is encoded, once for each codec. Close must release all forms.
func TestShared_Late(t *testing.T) {
	s := lateStore{newStore()}
	h := mustShare(t, s, map[string]int{"a": 1})
	if len(s.values) != 0 {
		t.Fatal("Share() has stored the value")
	}
	if e, used := encodeFor(t, nil, h); len(used) != 0 || len(e.Bytes) < 8 || len(s.values) != 0 {
		t.Errorf("another executor: %d handles, %d values are stored", len(used), len(s.values))
	}
	var all [][]any
	for range 2 {
		_, used := encodeFor(t, s.group, h)
		all = append(all, used)
		used = nil
		e, _, err := encodeTo(values.Work{To: s.group, Used: &used}, nil, h, Codec(textCodec{}))
		if !strings.HasPrefix(string(e.Bytes), "reference") || err != nil {
			t.Errorf("encoded by a codec: %q, %v", e.Bytes, err)
		}
		all = append(all, used)
	}
	if len(s.values) != 2 {
		t.Errorf("%d values are stored, want one for each codec", len(s.values))
	}
	if string(s.values[SharedID{1, 1, 2, 3}].Bytes) != "stored map[a:1]" {
		t.Errorf("the codec has stored %q", s.values[SharedID{1, 1, 2, 3}].Bytes)
	}
	b := &Batch{Name: "f", shared: all[0]}
	if err := b.SharedClosed(); err != nil {
		t.Error(err)
	}
	h.Close()
	if s.released.Load() != 2 || b.SharedClosed() == nil {
		t.Errorf("Close has released %d forms, want 2; SharedClosed() = %v", s.released.Load(), b.SharedClosed())
	}
	var used []any
	if _, _, err := encodeTo(values.Work{To: s.group, Used: &used}, nil, h, nil); !errors.Is(err, errSharedClosed) {
		t.Errorf("encoded a closed handle: %v, want an error", err)
	}
}

// TestShared_LatePlain: a slice of numbers must be stored once for all codecs.
func TestShared_LatePlain(t *testing.T) {
	s := lateStore{newStore()}
	h := mustShare(t, s, []float64{1, 2})
	var used []any
	for _, codec := range []Codec{nil, textCodec{}, nil} {
		if _, _, err := encodeTo(values.Work{To: s.group, Used: &used, Small: true}, nil, h, codec); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.values) != 1 || len(used) != 1 {
		t.Errorf("%d values are stored for %d handles, want one", len(s.values), len(used))
	}
}

// TestShared_LateLarge: a large value is not encoded on the goroutine of the
// executor, and a reference to it is small.
func TestShared_LateLarge(t *testing.T) {
	s := lateStore{newStore()}
	h := mustShare(t, s, map[string][]string{"a": make([]string, 100_000)})
	var used []any
	small := values.Work{To: s.group, Used: &used, Small: true}
	if _, _, err := encodeTo(small, nil, h, nil); !errors.Is(err, values.ErrLarge) || len(s.values) != 0 {
		t.Errorf("the first reference: %v, %d values are stored; want ErrLarge", err, len(s.values))
	}
	if _, _, err := encodeTo(small, nil, h, Codec(textCodec{})); !errors.Is(err, values.ErrLarge) || len(s.values) != 0 {
		t.Errorf("the first reference by a codec: %v, %d values are stored; want ErrLarge", err, len(s.values))
	}
	var encoding sync.WaitGroup
	for range 4 {
		encoding.Go(func() { encodeFor(t, s.group, h) })
	}
	encoding.Wait()
	if _, _, err := encodeTo(small, nil, h, nil); err != nil || len(s.values) != 1 || len(used) != 1 {
		t.Errorf("a later reference: %v, %d values are stored, %d handles are used", err, len(s.values), len(used))
	}
}

// TestShared_LateRepeated: the limit of references counts different values.
// If an argument contains a few handles, each many times, it must not
// contain their values.
func TestShared_LateRepeated(t *testing.T) {
	s := lateStore{newStore()}
	var few []Shared[[]int64]
	for range maxLateReferences {
		few = append(few, mustShare(t, s, make([]int64, 100)))
	}
	e, used := encodeFor(t, s.group, append(few, few...))
	if len(used) != maxLateReferences || len(e.Bytes) > 100*2*maxLateReferences {
		t.Errorf("%d references, and %d bytes; want %d references and no values", len(used), len(e.Bytes), maxLateReferences)
	}
}

// TestShared_LateMany: an argument for a LateSharer has a limited number of
// references. Further handles are encoded as their values.
func TestShared_LateMany(t *testing.T) {
	s := lateStore{newStore()}
	var all []Shared[int]
	for i := range maxLateReferences + 5 {
		all = append(all, mustShare(t, s, i))
	}
	e, used := encodeFor(t, s.group, all)
	if len(used) != maxLateReferences {
		t.Errorf("%d references, want %d", len(used), maxLateReferences)
	}
	for _, u := range used {
		stored := u.(usedHandle).stored
		KeepShared(stored.ID, s.values[stored.ID], nil)
		defer ForgetShared(stored.ID)
	}
	got, err := decode[[]Shared[int]](e)
	if err != nil || len(got) != len(all) {
		t.Fatalf("%d handles, %v", len(got), err)
	}
	for i, h := range got {
		if h.Value() != i && i >= maxLateReferences { // the IDs of this test are not unique
			t.Errorf("handle %d has arrived as %d", i, h.Value())
		}
	}
}
