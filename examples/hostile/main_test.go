package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"concert/processes"
)

func TestMain(m *testing.M) {
	processes.Main()
	os.Exit(m.Run())
}

// TestRun_Archives: if an archive contains an attack, its task must fail with
// the expected error, and no file may appear outside of its directory. Archives
// without an attack must be unpacked.
func TestRun_Archives(t *testing.T) {
	into := t.TempDir()
	archives, err := makeArchives(into)
	if err != nil {
		t.Fatal(err)
	}
	outcomes, err := run(t.Context(), into, archives)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skipf("this system cannot confine processes: %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	want := map[string]error{
		"escape.zip": os.ErrPermission, "link.zip": os.ErrPermission, "script.zip": os.ErrPermission, "caller.zip": os.ErrPermission,
		"huge.zip": processes.ErrMemory, "circle.zip": processes.ErrTimeout,
	}
	for i, err := range outcomes {
		switch name := filepath.Base(archives[i]); {
		case name == "good.zip" || name == "last.zip":
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		case err == nil || want[name] != nil && !errors.Is(err, want[name]):
			t.Errorf("%s: %v; want %v", name, err, want[name])
		}
	}
	for _, path := range []string{filepath.Join(into, "escaped"), filepath.Join(filepath.Dir(into), "escaped")} {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s has escaped", path)
		}
	}
	if text, err := os.ReadFile(filepath.Join(into, "files", "001-good.zip", "a", "b.txt")); string(text) != "more" || err != nil {
		t.Errorf("good.zip: %q, %v", text, err)
	}
}
