package main

import (
	"image"
	"os"
	"path/filepath"
	"testing"

	"concert/processes"
)

func TestMain(m *testing.M) {
	processes.Main()
	os.Exit(m.Run())
}

func TestRun(t *testing.T) {
	photographs, into := t.TempDir(), t.TempDir()
	paths, err := takePhotographs(photographs, 3)
	if err != nil {
		t.Fatal(err)
	}
	text := filepath.Join(photographs, "text.jpg")
	if err := os.WriteFile(text, []byte("not an image"), 0o666); err != nil {
		t.Fatal(err)
	}
	failed, err := run(t.Context(), into, 100, 2, append(paths, text, filepath.Join(photographs, "missing.png")))
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
