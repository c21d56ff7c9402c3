package get

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestListing: listing must return all names in a directory, or nil.
func TestListing(t *testing.T) {
	for _, n := range []int{0, 1, maxListed, maxListed + 1} {
		dir := t.TempDir()
		for i := range n {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), nil, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		got := listing(dir)
		if n > maxListed {
			if got != nil {
				t.Errorf("%d of %d names, want none", len(got), n)
			}
			continue
		}
		if got == nil || len(got) != n {
			t.Errorf("%d names, want %d", len(got), n)
		}
		for i := range n {
			if !got[fmt.Sprint(i)] {
				t.Errorf("the name %d is missing", i)
			}
		}
	}
	if got := listing(filepath.Join(t.TempDir(), "missing")); got != nil {
		t.Errorf("a missing directory has the names %v", got)
	}
}
