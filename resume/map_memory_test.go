package resume_test

import (
	"context"
	"errors"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"concert"
	"concert/goroutines"
	"concert/resume"
)

// gate is a channel that blocks calls of gated with the number 0 until the
// channel is closed.
var gate atomic.Pointer[chan struct{}]

var gated = concert.Register("resume_test.gated", func(ctx context.Context, n int) ([]byte, error) {
	calls.Add(1)
	if n == 0 {
		select {
		case <-*gate.Load():
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return []byte(strings.Repeat(string(rune('a'+n%26)), 1<<20)), nil
})

// TestMap_LargeResults: not all results that wait for the first result may
// stay in memory. All of them must be intact.
func TestMap_LargeResults(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "j"))
	c := make(chan struct{})
	gate.Store(&c)
	ex := goroutines.New(2, nil)
	defer ex.Close()
	const n = 100
	before := calls.Load()
	i := 0
	for got, err := range resume.Map(t.Context(), ex, j, gated, func(yield func(int) bool) {
		for k := range n {
			if !yield(k) {
				return
			}
		}
		for calls.Load()-before < n { // all other calls have begun
			time.Sleep(time.Millisecond)
		}
		close(c)
	}) {
		if err != nil || len(got) != 1<<20 || got[0] != byte('a'+i%26) || got[1<<20-1] != got[0] {
			t.Fatalf("result %d: %d bytes, %v", i, len(got), err)
		}
		if i == 0 {
			runtime.GC()
			var m runtime.MemStats
			if runtime.ReadMemStats(&m); m.HeapAlloc > 64<<20 {
				t.Errorf("%d MiB of memory are used", m.HeapAlloc>>20)
			}
		}
		i++
	}
	if i != n || j.Len() != n {
		t.Errorf("%d results, %d records", i, j.Len())
	}
}

// TestMap_Ahead: while the first result is missing, Map must take a bounded
// number of inputs, with and without records. When the loop ends, all
// goroutines must end.
func TestMap_Ahead(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "j"))
	const most = 4096
	for round := range 2 {
		c := make(chan struct{})
		gate.Store(&c)
		ex := goroutines.New(2, nil)
		full := make(chan struct{})
		taken := 0
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-full
			for j.Len() < most-1 { // waits until all other calls have records
				time.Sleep(time.Millisecond)
			}
			cancel()
		}()
		for _, err := range resume.Map(ctx, ex, j, smallGated, func(yield func(int) bool) {
			for yield(taken) {
				if taken++; taken == most {
					close(full)
				}
			}
		}) {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("round %d: a result: %v", round, err)
			}
		}
		ex.Close()
		if taken < most || taken > most+1 {
			t.Errorf("round %d: %d inputs were taken", round, taken)
		}
	}
}

var smallGated = concert.Register("resume_test.smallGated", func(ctx context.Context, n int) (int, error) {
	if n == 0 {
		select {
		case <-*gate.Load():
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
	return n, nil
})
