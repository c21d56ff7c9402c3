package lazy_test

import (
	"errors"
	"io"
	"testing"

	"concert/internal/lazy"
)

// loud is an error that counts the calls of its Error method.
type loud struct{ calls *int }

func (e loud) Error() string { *e.calls++; return "loud" }

// TestErrorf: Errorf calls no method of its arguments, and the error has their
// texts and wraps them.
func TestErrorf(t *testing.T) {
	calls := 0
	e := loud{&calls}
	err := lazy.Errorf("%d: %w: %w", 3, e, io.EOF)
	if calls != 0 {
		t.Errorf("Errorf called Error %d times", calls)
	}
	if got, want := err.Error(), "3: loud: EOF"; got != want {
		t.Errorf("Error() = %q, want %q", got, want)
	}
	if !errors.Is(err, e) || !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v does not wrap its arguments", err)
	}
}
