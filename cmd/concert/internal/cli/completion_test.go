package cli

import (
	"errors"
	"io"
	"testing"
)

// TestCompletion_NotWritten: the command must fail if the script cannot be
// written, because a part of it may be in a file.
func TestCompletion_NotWritten(t *testing.T) {
	full := errors.New("no space left on device")
	in, out := io.Pipe()
	in.CloseWithError(full)
	c := Completion(nil)
	if err := c.Run(t.Context(), []string{"bash"}, out, io.Discard); !errors.Is(err, full) {
		t.Errorf("error %v, want %v", err, full)
	}
}
