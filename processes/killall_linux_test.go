package processes_test

import (
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"concert"
	"concert/processes"
)

// TestPool_KillAll: Shutdown does not kill workers that run nothing, in whose
// place the pool would start others until it is broken.
func TestPool_KillAll(t *testing.T) {
	var mu sync.Mutex
	var log strings.Builder
	p := newPool(t, 1, &processes.Options{Output: slog.New(slog.NewTextHandler(lockedWriter{&mu, &log}, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	before, err := concert.Submit(t.Context(), p, pidOf, 0).Result(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if running := p.KillAll(errors.New("time to go")); len(running) > 0 {
			t.Errorf("an idle pool runs %v", running)
		}
	}
	if after, err := concert.Submit(t.Context(), p, pidOf, 0).Result(t.Context()); after != before || err != nil {
		t.Errorf("the worker is process %d, %v; before it was %d", after, err, before)
	}
	p.Close()
	mu.Lock()
	defer mu.Unlock()
	if strings.Contains(log.String(), "died") {
		t.Errorf("workers died: %s", log.String())
	}
}
