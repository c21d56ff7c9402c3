package child

import (
	"context"
	"os"
	"testing"
	"time"

	"concert/executor"
	"concert/internal/frame"
)

// TestFinish_WithoutJournal: a worker without a journal sends each result in
// a separate frame, so it must measure the time of each call.
func TestFinish_WithoutJournal(t *testing.T) {
	r, pipe, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer pipe.Close()
	w := &worker{out: newWriter(pipe, nil), setup: Setup{MaxResult: 8}, head: frame.CallHead{Count: minList}, group: maxGroup}
	w.ctx = newCallContext(context.Background())
	w.now = uptime() - time.Hour
	w.begun = w.now
	w.finish(executor.Encoded{Kind: 13, Bytes: make([]byte, 8)}, nil)
	w.out.flush()
	_, body, err := frame.NewReader(r, frame.MaxFrame).Next()
	if err != nil {
		t.Fatal(err)
	}
	if o, err := frame.ParseResult(body); err != nil || o.Ran < time.Hour {
		t.Errorf("a call that took an hour took %v, according to its result: %v", o.Ran, err)
	}
}
