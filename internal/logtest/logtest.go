// Package logtest records logs and other output in tests.
package logtest

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"
	"testing"
)

// Buffer keeps all bytes that are written to it. Its methods may be called
// concurrently, so a test can read the buffer while a logger writes to it.
type Buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

// Write appends to the buffer.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// String returns all bytes that were written.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// Take returns the bytes that were written since the last call of Take.
func (b *Buffer) Take() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.buf.Reset()
	return b.buf.String()
}

// Lines returns the lines that were written. The last line may have no end
// yet.
func (b *Buffer) Lines() []string {
	text := strings.TrimSpace(b.String())
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// Records returns the records with a message. The buffer must contain the
// output of a slog.JSONHandler.
func (b *Buffer) Records(t testing.TB, msg string) (found []map[string]any) {
	t.Helper()
	for _, line := range b.Lines() {
		r := map[string]any{}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if r["msg"] == msg {
			found = append(found, r)
		}
	}
	return found
}
