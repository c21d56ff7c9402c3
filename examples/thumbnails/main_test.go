package main

import (
	"context"
	"image"
	"os"
	"path/filepath"
	"testing"

	"concert"
	"concert/cluster"
	"concert/cluster/server"
	"concert/processes"
)

func TestMain(m *testing.M) {
	processes.Main()
	os.Exit(m.Run())
}

func TestRun_AllExecutors(t *testing.T) {
	photographs, into := t.TempDir(), t.TempDir()
	paths, err := takePhotographs(photographs, 3)
	if err != nil {
		t.Fatal(err)
	}
	text := filepath.Join(photographs, "text.jpg")
	if err := os.WriteFile(text, []byte("not an image"), 0o666); err != nil {
		t.Fatal(err)
	}
	ex, err := executor(t.Context(), 2, "", cluster.Access{}, false)
	if err != nil {
		t.Fatal(err)
	}
	defer ex.Close()
	paths = append(paths, text, filepath.Join(photographs, "missing.png"))
	check(t, ex, into, paths)

	// The same with a cluster whose worker runs tasks in the same pool.
	s, err := server.New(&server.Options{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- cluster.Serve(ctx, s.URL(), ex, nil) }()
	far, err := executor(t.Context(), 2, s.URL(), cluster.Access{}, false)
	if err != nil {
		t.Fatal(err)
	}
	check(t, far, t.TempDir(), paths)
	if err := far.Close(); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// check makes thumbnails of five images, of which three are broken. The
// function run must report three failures, and create two thumbnails of the
// right size.
func check(t *testing.T, ex concert.Executor, into string, paths []string) {
	t.Helper()
	failed, err := run(t.Context(), ex, into, 100, paths)
	if failed != 3 || err != nil {
		t.Errorf("run() = %d, %v; want 3 failed: the damaged one, the text and the missing one", failed, err)
	}
	entries, err := os.ReadDir(into)
	if err != nil || len(entries) != 2 {
		t.Fatalf("%d thumbnails, %v; want 2", len(entries), err)
	}
	f, err := os.Open(filepath.Join(into, entries[0].Name()))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if c, kind, err := image.DecodeConfig(f); c.Width != 100 || c.Height != 75 || kind != "jpeg" || err != nil {
		t.Errorf("%s of %d x %d, %v; want jpeg of 100 x 75", kind, c.Width, c.Height, err)
	}
}
