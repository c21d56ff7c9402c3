package processes

import (
	"strings"
	"testing"
)

// TestWorkerError_LongLine: the reason of a WorkerError is a line of
// standard error. If this line is very long, the text of the error must
// contain only the beginning of the line.
func TestWorkerError_LongLine(t *testing.T) {
	long := strings.Repeat("é", 40_000)
	for name, stderr := range map[string]string{
		"last line": "something\n" + long + "\n",
		"panic":     "panic: " + long + "\n\ngoroutine 1 [running]:\n",
		"one byte":  "x" + long,
	} {
		t.Run(name, func(t *testing.T) {
			e := &WorkerError{Task: "f", ExitCode: 2, Stderr: stderr}
			if text := e.Error(); len(text) > maxReason+100 || !strings.HasSuffix(text, "é ...") {
				t.Errorf("Error() has %d bytes and ends with %q", len(text), text[len(text)-20:])
			}
		})
	}
}
