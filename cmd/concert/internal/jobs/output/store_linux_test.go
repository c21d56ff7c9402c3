package output

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// capture returns the output of a job that writes a text to stdout.
func capture(t testing.TB, s *Store, text string, survivors bool) *Output {
	t.Helper()
	c, err := s.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c.Stdout, text); err != nil {
		t.Fatal(err)
	}
	o, err := c.Finish(survivors)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// descriptors returns the number of open files of this process.
func descriptors(t testing.TB) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

// heap returns the number of bytes that are in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestStore_SurvivorWritesLater: a process that has outlived its job writes to
// the files of the job, or empties them. This must not change the output of
// later jobs.
func TestStore_SurvivorWritesLater(t *testing.T) {
	for _, size := range []int{10, maxSmall + 10} {
		s := openStore(t)
		c, err := s.Begin()
		if err != nil {
			t.Fatal(err)
		}
		want := strings.Repeat("first", size)
		io.WriteString(c.Stdout, want)
		survivor, err := duplicate(c.Stdout)
		if err != nil {
			t.Fatal(err)
		}
		defer survivor.Close()
		o, err := c.Finish(true)
		if err != nil {
			t.Fatal(err)
		}
		second, err := s.Begin()
		if err != nil {
			t.Fatal(err)
		}
		survivor.Truncate(0)
		io.WriteString(survivor, "late")
		io.WriteString(second.Stdout, "second")
		o2, err := second.Finish(false)
		if err != nil {
			t.Fatal(err)
		}
		if got := readAll(t, o.Stdout()); got != want {
			t.Errorf("the output of the first job has %d bytes: %.20q", len(got), got)
		}
		if got := readAll(t, o2.Stdout()) + readAll(t, o2.Stderr()); got != "second" {
			t.Errorf("the output of the second job is %q", got)
		}
	}
}

// TestStore_FilesAreUsedAgain: later jobs must get the files of earlier jobs,
// but not their contents or their flags.
func TestStore_FilesAreUsedAgain(t *testing.T) {
	s := openStore(t)
	first, err := s.Begin()
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(first.Stdout, "0123456789")
	fd := int(first.Stdout.Fd())
	unix.FcntlInt(uintptr(fd), unix.F_SETFL, unix.O_DIRECT) // as dd oflag=direct does
	unix.Flock(fd, unix.LOCK_EX)
	base := first.files[0].base
	first.Discard(false)
	second, err := s.Begin()
	if err != nil {
		t.Fatal(err)
	}
	third, err := s.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if second.files[0].base != base && second.files[1].base != base {
		t.Error("the second job has new files")
	}
	for _, c := range []*Capture{second, third} {
		for _, f := range []*os.File{c.Stdout, c.Stderr} {
			if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
				t.Errorf("the file is locked: %v", err)
			}
			if flags, _ := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0); flags&unix.O_DIRECT != 0 || flags&unix.O_APPEND == 0 {
				t.Errorf("the flags of the file are %#x", flags)
			}
		}
		io.WriteString(c.Stdout, "abc")
		o, err := c.Finish(false)
		if err != nil {
			t.Fatal(err)
		}
		if got := readAll(t, o.Stdout()); got != "abc" {
			t.Errorf("the output is %q", got)
		}
	}
}

// TestStore_WithoutAbilities: a store must also work on file systems without
// O_TMPFILE, and on systems without /proc.
func TestStore_WithoutAbilities(t *testing.T) {
	noReopen := func(*os.File) (*os.File, error) { return nil, errors.ErrUnsupported }
	for _, row := range []struct {
		name   string
		change func(*system)
	}{
		{"no O_TMPFILE", func(s *system) { s.create = createUnlinked }},
		{"no proc", func(s *system) { s.reopen = noReopen }},
		{"neither", func(s *system) { s.create, s.reopen = createUnlinked, noReopen }},
	} {
		t.Run(row.name, func(t *testing.T) {
			sys := newSystem()
			row.change(&sys)
			dir := t.TempDir()
			s, err := newStore(dir, sys)
			if err != nil {
				t.Fatal(err)
			}
			before := descriptors(t)
			for _, size := range []int{0, 10, maxSmall + 10, 3 * segment} {
				want := strings.Repeat("x", size)
				o := capture(t, s, want, false)
				if names, err := os.ReadDir(dir); err != nil || len(names) > 0 {
					t.Errorf("the directory has files: %v, %v", names, err)
				}
				if got := readAll(t, o.Stdout()); got != want {
					t.Errorf("an output of %d bytes has %d", size, len(got))
				}
				o.Release()
			}
			if after := descriptors(t); after > before+4 {
				t.Errorf("%d files are open after 4 jobs, and %d before", after, before)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestStore_JobChangesItsFile: a job makes its stdout unreadable, empties it,
// or leaves holes in it. Finish must return the right output nevertheless.
func TestStore_JobChangesItsFile(t *testing.T) {
	s := openStore(t)
	for script, want := range map[string]string{
		"echo long; echo b >/dev/stdout; echo c": "b\nc\n",
		"echo a; chmod 0 /proc/self/fd/1":        "a\n",
		"echo a; chattr +i /proc/self/fd/1 2>&-": "a\n",
		"echo a; truncate -s 3 /proc/self/fd/1":  "a\n\x00",
	} {
		c, err := s.Begin()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), "sh", "-c", script)
		cmd.Stdout, cmd.Stderr = c.Stdout, c.Stderr
		cmd.Run()
		o, err := c.Finish(false)
		if err != nil {
			t.Fatal(err)
		}
		if got := readAll(t, o.Stdout()); got != want {
			t.Errorf("%s: %q, want %q", script, got, want)
		}
		o.Release()
	}
}

// TestStore_Close: Close must close all files, and the goroutine of the
// Printer must end.
func TestStore_Close(t *testing.T) {
	before, goroutines := descriptors(t), runtime.NumGoroutine()
	s, err := NewStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s.memory, s.large = maxMemory, maxLarge-1
	p := NewPrinter(s, &Options{Stdout: io.Discard, Stderr: io.Discard})
	for n := 10; n > 1; n-- {
		done(t, p, n, capture(t, s, strings.Repeat("x", 100_000), false))
	}
	p.fail(context.Canceled) // so that nothing is printed
	p.Close()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d files are open, and %d before", after, before)
	}
	if after := runtime.NumGoroutine(); after > goroutines {
		t.Errorf("%d goroutines, and %d before", after, goroutines)
	}
}

// TestStore_JobAllocatesSpace: disk space that a job has allocated for its
// stdout must be free when a later job uses the file.
func TestStore_JobAllocatesSpace(t *testing.T) {
	s := openStore(t)
	c, err := s.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Fallocate(int(c.Stdout.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, 1<<20); err != nil {
		t.Skip("this file system cannot allocate space: ", err)
	}
	base := c.files[0].base
	c.Discard(false)
	if got := blocks(t, []*os.File{base}); got > 0 {
		t.Errorf("the file still has %d bytes", got)
	}
}
