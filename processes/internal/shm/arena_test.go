package shm

import (
	"errors"
	"testing"

	"concert/internal/frame"
)

// TestArena_SpanOutside: for a span that is not in the arena, the function
// within must return ErrFrame.
func TestArena_SpanOutside(t *testing.T) {
	half := make([]byte, 100)
	for _, at := range []frame.Span{{Offset: 0, Length: 100}, {Offset: 100}, {Offset: 99, Length: 1}} {
		if b, err := within(half, at); len(b) != int(at.Length) || cap(b) != len(b) || err != nil {
			t.Errorf("within(%+v) = %d bytes, %v", at, len(b), err)
		}
	}
	for _, at := range []frame.Span{{Length: 101}, {Offset: 101}, {Offset: 50, Length: 51}, {Offset: 1<<64 - 1, Length: 2}, {Offset: 1, Length: 1<<64 - 1}} {
		if b, err := within(half, at); b != nil || !errors.Is(err, frame.ErrFrame) {
			t.Errorf("within(%+v) = %d bytes, %v; want ErrFrame", at, len(b), err)
		}
	}
}
