package main

import (
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"concert"
	"concert/python"
)

// interpreter returns a Python interpreter that has NumPy. It skips the test if
// there is no such interpreter.
func interpreter(t *testing.T) string {
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(name, "-c", "import numpy").Run() == nil {
			return name
		}
	}
	t.Skip("no interpreter here has numpy")
	return ""
}

func TestTones_Detected(t *testing.T) {
	name := interpreter(t)
	dir := t.TempDir()
	paths, err := record(dir, 12)
	if err != nil {
		t.Fatal(err)
	}
	ex, err := python.New(2, &python.Options{Interpreter: name})
	if err != nil {
		t.Fatal(err)
	}
	defer ex.Close()
	for i, path := range paths {
		s, err := concert.Submit(t.Context(), ex, tone, path).Result(t.Context())
		switch filepath.Base(path) {
		case "silence.wav":
			if !errors.Is(err, python.Type("ValueError")) {
				t.Errorf("silence: %v", err)
			}
		case "text.wav":
			if !errors.Is(err, python.Type("wave.Error")) {
				t.Errorf("text: %v", err)
			}
		default:
			if want := pitch(i * 7 % 12); err != nil || math.Abs(s.Hertz-want) > 0.5 || s.Seconds != 1 {
				t.Errorf("%s: %+v, %v; want %.1f Hz", filepath.Base(path), s, err, want)
			}
		}
	}
}

func TestRun(t *testing.T) {
	name := interpreter(t)
	t.Setenv("TMPDIR", t.TempDir())
	if code, err := run(t.Context(), name, nil); code != 0 || err != nil {
		t.Errorf("run() = %d, %v", code, err)
	}
	missing := filepath.Join(t.TempDir(), "missing.wav")
	if code, err := run(t.Context(), name, []string{missing}); code != 1 || err != nil {
		t.Errorf("run() of a missing file = %d, %v", code, err)
	}
	if code, err := run(t.Context(), filepath.Join(t.TempDir(), "python"), nil); code != 2 || err == nil || !strings.Contains(err.Error(), "cannot find the interpreter") {
		t.Errorf("run() without an interpreter = %d, %v", code, err)
	}
	if left, _ := os.ReadDir(os.TempDir()); len(left) > 0 {
		t.Errorf("run() left the files %v", left)
	}
}

func TestNote_Names(t *testing.T) {
	for hertz, want := range map[float64]string{440: "A4", 261.6: "C4", 27.5: "A0", 4186: "C8", 16.35: "C0", 8.2: "C-1"} {
		if got := note(hertz); got != want {
			t.Errorf("note(%v) = %s, want %s", hertz, got, want)
		}
	}
}
