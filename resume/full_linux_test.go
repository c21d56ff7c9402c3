package resume_test

import (
	"fmt"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"concert/resume"
)

func init() { children["full"] = appendToFullDisk }

// appendToFullDisk appends records until a limit prevents the files from
// growing. Then it removes this limit and appends again.
func appendToFullDisk(path string) {
	signal.Ignore(syscall.SIGXFSZ)
	j, err := resume.Open(path, nil)
	if err != nil {
		panic(err)
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		panic(err)
	}
	set := func(soft uint64) {
		l := limit
		l.Cur = soft
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &l); err != nil {
			panic(err)
		}
	}
	report := func(name string, err error) {
		if err == nil {
			fmt.Println(name)
		} else {
			fmt.Println("error", err)
		}
	}
	large := path[len(path)-1] == 'l'
	for round := range 2 {
		set(uint64(100_000 * (round + 1)))
		for i, failed := 0, 0; failed < 3; i++ {
			name := fmt.Sprint("full", round, ".", i)
			err := j.Append(keyOf(name), true, name, readers(fullData(name, large)...)...)
			report(name, err)
			if err != nil {
				failed++
			}
		}
	}
	set(limit.Cur)
	report("last", j.Append(keyOf("last"), true, "last", readers(fullData("last", large)...)...))
	if err := j.Close(); err != nil {
		panic(err)
	}
}

func fullData(name string, large bool) []string {
	if large {
		return []string{strings.Repeat(name, 5000)}
	}
	return []string{strings.Repeat(name, 100)}
}

// TestJournal_DiskFull: while a file cannot grow, Append must return the
// error. No part of the failed records may remain, and Append must work again
// when there is space.
func TestJournal_DiskFull(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"small", "large.l"} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), name)
			cmd, out := startChild(t, "full", path)
			var names []string
			failed := 0
			for out.Scan() {
				text := out.Text()
				if !strings.HasPrefix(text, "error ") {
					names = append(names, text)
					continue
				}
				failed++
				if !strings.Contains(text, "resume: append to "+path) || !strings.Contains(text, syscall.EFBIG.Error()) {
					t.Error(text)
				}
			}
			if err := cmd.Wait(); err != nil {
				t.Fatal(err)
			}
			j := open(t, path)
			for _, name := range names {
				wantEntry(t, j, keyOf(name), true, fmt.Sprintf("%q", name), fullData(name, path[len(path)-1] == 'l')...)
			}
			if failed != 6 || len(names) < 5 || names[len(names)-1] != "last" || j.Len() != len(names) || j.Damaged() != 0 {
				t.Errorf("%d failed, %d succeeded; %d records, %d damaged lines", failed, len(names), j.Len(), j.Damaged())
			}
		})
	}
}
