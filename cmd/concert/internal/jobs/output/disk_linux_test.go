package output

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestStore_FileSystemWithoutUnnamedFiles: the files of a store have names for
// a moment, and must have none afterwards.
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

// TestStore_KilledLeavesNoFile kills a program that has output in memory, in
// files of jobs and in the overflow file. No file must be left.
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

// TestStore_DiskFull: a job whose output cannot be stored must fail, and the
// next job must succeed.
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
	// If jobs that wait cannot be stored, they stay in memory.
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

// TestStore_NoDirectory: the error must contain the path of the directory.
func TestStore_NoDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "missing")
	if _, err := NewStore(dir); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), dir) {
		t.Errorf("NewStore: %v", err)
	}
}
