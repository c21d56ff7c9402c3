package output

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// outputs is the number of jobs of tests that count memory. Use -outputs
// 1000000 for a thorough test.
var outputs = flag.Int("outputs", 50_000, "jobs in tests of the memory")

// TestPrinter_ManyJobsWaitInConstantMemory: all jobs wait for job 1. The
// memory must not grow with their number.
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

// TestPrinter_RecordedOutputsWaitInConstantMemory: outputs of an earlier run,
// which are in a journal, wait for job 1. Small outputs are copied to a file,
// and larger outputs are found by their ids. The memory must not grow with
// their number.
func TestPrinter_RecordedOutputsWaitInConstantMemory(t *testing.T) {
	s := openStore(t)
	content := func(id string, size int64, i int) io.Reader {
		return io.LimitReader(strings.NewReader(fmt.Sprint("stream ", i, " of ", id, strings.Repeat(" ", int(size)))), size)
	}
	sizes := []int64{100, maxMoved, maxMoved + 1, maxSmall + 1}
	record := func(n int) *Record {
		return &Record{Number: n, ID: fmt.Sprintf("%032d", n), Inputs: []string{"in"}, Status: OK, Stdout: sizes[n%len(sizes)], Stderr: 50, Resumed: true}
	}
	open := func(r *Record) func(int) io.Reader {
		return func(i int) io.Reader { return content(r.ID, []int64{r.Stdout, r.Stderr}[i], i) }
	}
	found := 0
	counted := &sums{}
	p := NewPrinter(s, &Options{Stdout: counted, Stderr: io.Discard, Recorded: func(id string) func(int) io.Reader {
		found++
		n, err := strconv.Atoi(id)
		if err != nil {
			t.Error(err)
			return nil
		}
		return open(record(n))
	}})
	const jobs = 20_000
	before := heap()
	for n := jobs; n > 1; n-- {
		r := record(n)
		if err := p.Done(t.Context(), r, Recorded(r, open(r))); err != nil {
			t.Fatal(err)
		}
	}
	if grown := heap() - before; grown > 12<<20 {
		t.Errorf("%d jobs that wait need %d MiB of memory", jobs, grown>>20)
	}
	done(t, p, 1, nil)
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	var want sums
	for n := 2; n <= jobs; n++ {
		r := record(n)
		io.Copy(&want, open(r)(0))
	}
	if *counted != want {
		t.Errorf("%d bytes with the sum %x were printed, want %d with %x", counted.bytes, counted.crc, want.bytes, want.crc)
	}
	if found == 0 || s.memory != 0 || s.over.held != 0 {
		t.Errorf("%d outputs were found again; at the end, %d bytes of memory and %d segments are used", found, s.memory, s.over.held)
	}
}

// sums is a writer that counts bytes, and computes their checksum.
type sums struct {
	bytes int64
	crc   uint32
}

// Write implements io.Writer.
func (s *sums) Write(b []byte) (int, error) {
	s.bytes += int64(len(b))
	s.crc = crc32.Update(s.crc, crc32.IEEETable, b)
	return len(b), nil
}

// TestPrinter_LargeOutputsFreeDiskSpace: while job 1 runs, the outputs of the
// other jobs are on the disk. While they are printed, their disk space must be
// freed.
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
				// The Printer has read up to 4 MiB that it has not freed yet.
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
