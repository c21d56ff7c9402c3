package executor

import (
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// memory is a slice of numbers that an executor has mapped: its release
// overwrites the numbers.
type memory struct {
	numbers  []int8
	released atomic.Bool
}

func newMemory(n int) *memory {
	m := &memory{numbers: make([]int8, n)}
	for i := range m.numbers {
		m.numbers[i] = 1
	}
	return m
}

// handle returns a handle of the memory.
func (m *memory) handle(t *testing.T) (h Mapped[int8]) {
	t.Helper()
	e := encodeRaw(asInt8, m.numbers)
	err := h.setMapped(e, func() {
		clear(m.numbers)
		if m.released.Swap(true) {
			t.Error("the memory is released twice")
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// awaitRelease collects garbage until the memory is released.
func (m *memory) awaitRelease(t *testing.T) {
	t.Helper()
	for start := time.Now(); !m.released.Load(); runtime.GC() {
		if time.Since(start) > 30*time.Second {
			t.Fatal("the memory is not released")
		}
	}
}

// TestMapped_PassedOn: if a function returns the handle of a mapped result, its
// encoded result must not depend on the handle. No one else keeps the handle.
func TestMapped_PassedOn(t *testing.T) {
	m := newMemory(1000)
	e, ok, err := m.handle(t).encodeMapped()
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	m.awaitRelease(t)
	if got, err := decode[[]int8](Encoded{e.Kind &^ asMapped, e.Bytes}); err != nil || !slices.Equal(got, newMemory(1000).numbers) {
		t.Errorf("the encoded result has changed: %v, %v", got[:min(len(got), 3)], err)
	}
}

// TestMapped_CloseWhileEncoded: Close must wait until the slice is encoded.
func TestMapped_CloseWhileEncoded(t *testing.T) {
	for range 100 {
		m := newMemory(1 << 20)
		h := m.handle(t)
		started := make(chan struct{})
		go func() {
			<-started
			h.Close()
		}()
		close(started)
		b, err := h.MarshalBinary()
		if err == nil && slices.Contains(b[1:], 0) {
			t.Fatal("MarshalBinary has encoded released memory")
		}
		h.Close()
		if !m.released.Load() {
			t.Fatal("Close has not released the memory")
		}
	}
}
