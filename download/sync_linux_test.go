package download

import (
	"errors"
	"os"
	"sync"
	"testing"
)

func TestSyncGroup_AnswersEachFile(t *testing.T) {
	g := &syncGroup{}
	var files []*unsynced
	for range 20 {
		f, err := os.CreateTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files = append(files, &unsynced{f, nextOpened(), make(chan error, 1)})
	}
	g.waiting, g.running = files, true
	var all sync.WaitGroup
	all.Go(g.run)
	for i, u := range files {
		if err := <-u.synced; err != nil && err != errAlone {
			t.Errorf("file %d: %v", i, err)
		}
	}
	all.Wait()
	if g.running || len(g.waiting) > 0 {
		t.Errorf("after the last file: running %v, %d waiting; want false, 0", g.running, len(g.waiting))
	}
}

func TestSyncGroup_LeavesErrorsToEachFile(t *testing.T) {
	var files []*unsynced
	for i := range 3 {
		f, err := os.CreateTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		// The file with the smallest number is not the first of the slice.
		files = append(files, &unsynced{f, uint64(3 - i), make(chan error, 1)})
	}
	if err := syncTogether(files); err != nil {
		t.Fatalf("syncTogether() = %v, want nil", err)
	}
	files[2].file.Close() // the file that was opened first
	if err := syncTogether(files); err != errAlone {
		t.Errorf("syncTogether() with a closed first file = %v, want errAlone", err)
	}
	g := &syncGroup{waiting: files[2:], running: true}
	g.run()
	if err := <-files[2].synced; !errors.Is(err, os.ErrClosed) {
		t.Errorf("the sync of a closed file = %v, want os.ErrClosed", err)
	}
}

func TestMemoryInfo_Values(t *testing.T) {
	const text = "MemTotal:  8 kB\nDirty:             12 kB\nWriteback:         3 kB\nWritebackTmp:    9 kB\nBad:  x kB\n"
	for _, c := range []struct {
		key  string
		want int64
	}{
		{"Dirty:", 12 << 10}, {"Writeback:", 3 << 10}, {"Bad:", maxDirty + 1}, {"Missing:", maxDirty + 1},
	} {
		if got := memoryInfo([]byte(text), c.key); got != c.want {
			t.Errorf("memoryInfo(%q) = %d, want %d", c.key, got, c.want)
		}
	}
}
