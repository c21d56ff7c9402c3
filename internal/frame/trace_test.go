package frame_test

import (
	"errors"
	"strings"
	"testing"

	"concert/executor"
	"concert/internal/frame"
)

// TestParseTrace: a text is accepted if it has from 1 up to MaxTrace bytes.
func TestParseTrace(t *testing.T) {
	for size, ok := range map[int]bool{0: false, 1: true, executor.MaxTrace: true, executor.MaxTrace + 1: false} {
		text := strings.Repeat("x", size)
		got, err := frame.ParseTrace(frame.AppendTrace(nil, text)[frame.HeaderSize:])
		if ok && (got != text || err != nil) || !ok && !errors.Is(err, frame.ErrFrame) {
			t.Errorf("ParseTrace of %d bytes = %q, %v; want success %v", size, got, err, ok)
		}
	}
}
