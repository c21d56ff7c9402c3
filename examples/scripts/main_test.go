package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// TestScript_SharedCounter: if scripts in many goroutines count words in one
// dictionary, each word must count exactly once.
func TestScript_SharedCounter(t *testing.T) {
	site, stop, err := serve()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	e, err := newEngine()
	if err != nil {
		t.Fatal(err)
	}
	const pages = 20
	want := len(strings.Fields(page))
	var all sync.WaitGroup
	for range pages {
		all.Go(func() {
			if n, err := e.count(t.Context(), site); n != want || err != nil {
				t.Errorf("count() = %d, %v; want %d", n, err, want)
			}
		})
	}
	all.Wait()
	if words := e.frequent(1); words[0] != (word{"the", 2 * pages * strings.Count(page, "\n") / 2}) {
		t.Errorf("most frequent is %v", words)
	}
}

// TestScript_EndlessLoop: if a script computes forever, other scripts must run,
// and a cancellation must end the script.
func TestScript_EndlessLoop(t *testing.T) {
	e, err := newEngine()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	spinning := make(chan error)
	go func() {
		spinning <- e.lock.Run(ctx, func(ctx context.Context) error {
			globals, err := starlark.ExecFileOptions(&syntax.FileOptions{}, e.thread(ctx), "spin.star", "def spin():\n  for i in range(1<<40):\n    pass\n", nil)
			if err == nil {
				_, err = starlark.Call(e.thread(ctx), globals["spin"], nil, nil)
			}
			return err
		})
	}()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("a b c")) }))
	defer server.Close()
	for range 20 {
		if n, err := e.count(t.Context(), server.URL); n != 3 || err != nil {
			t.Fatalf("count() = %d, %v", n, err)
		}
	}
	cancel(errors.New("enough"))
	if err := <-spinning; err == nil || !strings.Contains(err.Error(), "enough") {
		t.Errorf("the script that was canceled: %v", err)
	}
	if s := e.lock.Stats(); s.Forced == 0 {
		t.Errorf("Stats() = %+v; want forced switches", s)
	}
}

func TestScript_Fails(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	if code, err := run(t.Context(), []string{server.URL}); code != 1 || err != nil {
		t.Errorf("run() = %d, %v", code, err)
	}
	if code, err := run(t.Context(), nil); code != 0 || err != nil {
		t.Errorf("run() = %d, %v", code, err)
	}
}
