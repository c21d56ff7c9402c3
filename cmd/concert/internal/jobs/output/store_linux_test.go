package output

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
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

// TestPrinter_ManyJobsWaitInConstantMemory: all jobs wait for job 1.
func TestPrinter_ManyJobsWaitInConstantMemory(t *testing.T) {
	for _, json := range []bool{false, true} {
		t.Run(fmt.Sprint("json=", json), func(t *testing.T) {
			s := openStore(t)
			r, w := io.Pipe()
			defer r.Close()
			p := NewPrinter(s, &Options{Stdout: w, Stderr: io.Discard, JSON: json})
			beforeHeap, beforeFiles := heap(), descriptors(t)
			for n := *outputs; n > 1; n-- {
				o := text(fmt.Sprint("output of job ", n, "\n"), "")
				if n%32 == 0 {
					o = capture(t, s, fmt.Sprint("output of job ", n, "\n"), false)
				}
				done(t, p, n, o)
			}
			if grown := heap() - beforeHeap; grown > 20<<20 {
				t.Errorf("%d jobs that wait need %d MiB of memory", *outputs, grown>>20)
			}
			if files := descriptors(t) - beforeFiles; files > 4 {
				t.Errorf("%d jobs that wait need %d files", *outputs, files)
			}
			go func() {
				done(t, p, 1, text("output of job 1\n", ""))
				w.CloseWithError(p.Close())
			}()
			n := 0
			for lines := bufio.NewScanner(r); lines.Scan(); {
				n++
				want := fmt.Sprint("output of job ", n)
				if json {
					want = fmt.Sprintf(`{"number":%d,"inputs":["in%[1]d"],"status":"ok","attempts":0,"seconds":0,"cpu_seconds":0,"stdout_bytes":0,"stderr_bytes":0,"resumed":false,"stdout":"output of job %[1]d\n","stderr":""}`, n)
				}
				if lines.Text() != want {
					t.Fatalf("line %d is %q, want %q", n, lines.Text(), want)
				}
			}
			if n != *outputs {
				t.Errorf("%d lines", n)
			}
			if s.memory != 0 || s.over.held != 0 {
				t.Errorf("at the end, %d bytes of memory and %d segments are used", s.memory, s.over.held)
			}
		})
	}
}

// TestPrinter_LargeOutputsFreeDiskSpace: while job 1 runs, the outputs of
// others are on the disk. While they are printed, the space is freed.
func TestPrinter_LargeOutputsFreeDiskSpace(t *testing.T) {
	const size, count = 24 << 20, 4
	for _, row := range []struct {
		name  string
		large int
	}{{"own files", 0}, {"overflow", maxLarge}} {
		t.Run(row.name, func(t *testing.T) {
			s := openStore(t)
			s.large = row.large
			r, w := io.Pipe()
			p := NewPrinter(s, &Options{Stdout: w, Stderr: io.Discard})
			before := heap()
			chunk := bytes.Repeat([]byte{'x'}, 1<<20)
			var files []*os.File
			for n := 2; n < 2+count; n++ {
				c, err := p.Begin(nil)
				if err != nil {
					t.Fatal(err)
				}
				for range size / len(chunk) {
					c.Stdout.Write(chunk)
				}
				files = append(files, c.files[0].base)
				o, err := c.Finish(false)
				if err != nil {
					t.Fatal(err)
				}
				done(t, p, n, o)
			}
			if row.large > 0 {
				files = []*os.File{s.over.file}
			}
			if grown := heap() - before; grown > 4<<20 {
				t.Errorf("the memory has grown by %d MiB", grown>>20)
			}
			if got := blocks(t, files); got < size*count {
				t.Errorf("at first, the files have %d MiB of disk space", got>>20)
			}
			go done(t, p, 1, nil)
			for left := int64(size*count - size/2); ; left -= size {
				if _, err := io.CopyN(io.Discard, r, size/2); err != nil {
					t.Fatal(err)
				}
				// What the Printer has read, but not freed yet.
				if got := blocks(t, files); got > left+4<<20 {
					t.Errorf("%d MiB are to be printed, and the files have %d MiB", left>>20, got>>20)
				}
				if left < size {
					break
				}
				io.CopyN(io.Discard, r, size/2)
			}
			go io.Copy(io.Discard, r)
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// blocks returns the disk space of files in bytes.
func blocks(t testing.TB, files []*os.File) (sum int64) {
	t.Helper()
	for _, f := range files {
		var st unix.Stat_t
		if err := unix.Fstat(int(f.Fd()), &st); err != nil {
			t.Fatal(err)
		}
		sum += st.Blocks * 512
	}
	return sum
}

// TestStore_SurvivorWritesLater: a process that has outlived its job writes to
// the files of the job, or empties them.
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

// TestStore_FilesAreUsedAgain: later jobs get the files of earlier ones, and
// nothing else of them.
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

// TestStore_WithoutAbilities: file systems without O_TMPFILE, and systems
// without /proc.
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

// TestStore_FileSystemWithoutUnnamedFiles: the files of a store had names for a
// moment.
func TestStore_FileSystemWithoutUnnamedFiles(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("mqueue", dir, "mqueue", 0, ""); err != nil {
		t.Skip("no such file system can be mounted here: ", err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	if f, err := os.OpenFile(dir, unix.O_TMPFILE|os.O_RDWR, 0o600); err == nil {
		f.Close()
		t.Skip("this file system has unnamed files")
	}
	// The files of this file system are message queues of the whole system.
	before, _ := filepath.Glob(filepath.Join(dir, "concert-*"))
	f, err := createFile(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if after, _ := filepath.Glob(filepath.Join(dir, "concert-*")); len(after) > len(before) {
		t.Errorf("the directory has files: %v, and %v before", after, before)
	}
}

// TestStore_KilledLeavesNoFile kills a program that has output in all places.
func TestStore_KilledLeavesNoFile(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "CONCERT_TEST_STORE="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	cmd.Process.Kill()
	cmd.Wait()
	if line != "<nil>\n" || err != nil {
		t.Fatalf("the program says %q, %v", line, err)
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) > 0 {
		t.Errorf("the directory has files: %v, %v", names, err)
	}
}

// TestStore_DiskFull: a job whose output cannot be stored fails, and the next
// one succeeds.
func TestStore_DiskFull(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name string
		fill func(s *Store) (empty func())
	}{
		{"overflow", func(s *Store) func() {
			file := s.over.file
			s.over.file, s.large = full, maxLarge
			return func() { s.over.file = file }
		}},
		{"file of the job", func(s *Store) func() {
			s.sys.freeSpace = func(*os.File) int64 { return 1000 }
			return func() { s.sys.freeSpace = func(*os.File) int64 { return math.MaxInt64 } }
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := openStore(t)
			s.large = maxLarge
			capture(t, s, strings.Repeat("x", maxSmall+1), false).Release() // creates the overflow file
			empty := row.fill(s)
			c, err := s.Begin()
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(c.Stdout, strings.Repeat("x", maxSmall+1))
			o, err := c.Finish(false)
			if err == nil || !strings.Contains(err.Error(), s.dir) || o == nil {
				t.Errorf("Finish: %v, %v", o, err)
			}
			o.Release()
			empty()
			if got := readAll(t, capture(t, s, "next", false).Stdout()); got != "next" {
				t.Errorf("the output of the next job is %q", got)
			}
			if s.over.held != 0 {
				t.Errorf("%d segments are used", s.over.held)
			}
		})
	}
}

// TestStore_SmallDisk fills a real file system.
func TestStore_SmallDisk(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skip("no small disk can be made here: ", err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	s, err := NewStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var out bytes.Buffer
	p := NewPrinter(s, &Options{Stdout: &out, Stderr: io.Discard})
	failed := 0
	for n := 1; n <= 6; n++ {
		c, err := p.Begin(nil)
		if err != nil {
			t.Fatal(err)
		}
		size := 100 << 10
		if n == 3 {
			size = 2 << 20
		}
		_, writeErr := c.Stdout.Write(make([]byte, size))
		o, err := c.Finish(false)
		if err != nil {
			failed++
			if !errors.Is(writeErr, syscall.ENOSPC) || n != 3 || !strings.Contains(err.Error(), dir) {
				t.Errorf("job %d: %v", n, err)
			}
		}
		done(t, p, n, o)
	}
	if failed != 1 {
		t.Errorf("%d jobs failed", failed)
	}
	if err := p.Close(); err != nil || out.Len() < 500<<10 {
		t.Errorf("printed %d bytes, %v", out.Len(), err)
	}
	// Jobs that wait stay in memory if they cannot be stored.
	s.memory = maxMemory
	ballast, err := os.Create(filepath.Join(dir, "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	defer ballast.Close()
	for err == nil {
		_, err = ballast.Write(make([]byte, 4096))
	}
	out.Reset()
	p = NewPrinter(s, &Options{Stdout: &out, Stderr: io.Discard, Tag: true})
	for n := 100; n > 0; n-- {
		done(t, p, n, text(fmt.Sprint(n, "\n"), ""))
	}
	if err := p.Close(); err != nil || strings.Count(out.String(), "\n") != 100 {
		t.Errorf("printed %q, %v", &out, err)
	}
	if s.over.held != 0 || len(s.over.live) > 0 {
		t.Errorf("%d segments are used: %v", s.over.held, s.over.live)
	}
}

// TestStore_NoDirectory: the error names the directory.
func TestStore_NoDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "missing")
	if _, err := NewStore(dir); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), dir) {
		t.Errorf("NewStore: %v", err)
	}
}

// TestStore_JobChangesItsFile: a job makes its stdout unreadable, empties it,
// or leaves holes.
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

// TestStore_Close closes all files, and the Printer's goroutine ends.
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
