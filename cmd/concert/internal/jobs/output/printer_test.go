//go:build unix

package output

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// openStore returns a store in a new directory.
func openStore(t testing.TB) *Store {
	t.Helper()
	s, err := NewStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// done calls Done for a successful job.
func done(t testing.TB, p *Printer, number int, o *Output) {
	t.Helper()
	if err := p.Done(t.Context(), &Record{Number: number, Inputs: []string{fmt.Sprint("in", number)}, Status: OK}, o); err != nil {
		t.Error(err)
	}
}

func TestPrinter_Order(t *testing.T) {
	for _, row := range []struct {
		name string
		opts Options
		want string
	}{
		{"ordered", Options{}, "1 out\n1 err\n2 out\n3 err\n"},
		{"unordered", Options{Unordered: true}, "3 err\n1 out\n1 err\n2 out\n"},
		{"tag", Options{Tag: true}, "in1\t1 out\nin1\t1 err\nin2\t2 out\nin3\t3 err\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var all bytes.Buffer // receives both streams, like a terminal
			row.opts.Stdout, row.opts.Stderr = &all, &all
			p := NewPrinter(openStore(t), &row.opts)
			done(t, p, 3, text("", "3 err\n"))
			done(t, p, 1, text("1 out\n", "1 err\n"))
			done(t, p, 4, nil)
			done(t, p, 2, text("2 out\n", ""))
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
			if got := all.String(); got != row.want {
				t.Errorf("printed %q, want %q", got, row.want)
			}
		})
	}
}

// TestPrinter_CloseSkipsMissing: after an interruption, after an interruption,
// Close must print the jobs in order, although jobs between them are missing.
func TestPrinter_CloseSkipsMissing(t *testing.T) {
	for _, spill := range []bool{false, true} {
		t.Run(fmt.Sprint("spill=", spill), func(t *testing.T) {
			s := openStore(t)
			if spill {
				s.memory = maxMemory
			}
			var out bytes.Buffer
			p := NewPrinter(s, &Options{Stdout: &out, Stderr: io.Discard})
			for _, n := range []int{9, 4, 7, 2} {
				done(t, p, n, text(fmt.Sprint(n, "\n"), ""))
			}
			if out.Len() > 0 {
				t.Errorf("printed %q before job 1 was done", &out)
			}
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
			if got := out.String(); got != "2\n4\n7\n9\n" {
				t.Errorf("printed %q", got)
			}
		})
	}
}

// TestPrinter_SlowReader: Done must wait for the reader if the turn of the job
// has come. It must not wait if the job has to wait for another job.
func TestPrinter_SlowReader(t *testing.T) {
	for _, unordered := range []bool{false, true} {
		s := openStore(t)
		synctest.Test(t, func(t *testing.T) {
			w := blockedWriter(make(chan []byte))
			p := NewPrinter(s, &Options{Stdout: w, Stderr: w, Unordered: unordered})
			big := strings.Repeat("x", 200<<10)
			returned := make(chan int, 3)
			call := func(ctx context.Context, n int) {
				go func() {
					p.Done(ctx, &Record{Number: n}, text(big, ""))
					returned <- n
				}()
				synctest.Wait()
			}
			call(t.Context(), 1)
			if len(returned) > 0 {
				t.Error("Done returned although the reader has read nothing")
			}
			ctx, cancel := context.WithCancel(t.Context())
			call(ctx, 2)
			if len(returned) > 0 {
				t.Error("Done returned although no job was printed")
			}
			if !unordered {
				call(t.Context(), 4) // waits, because it is the turn of job 2
			}
			cancel()
			synctest.Wait()
			if n := <-returned; n != 2 {
				t.Errorf("after its context ended, Done of %d returned and not that of 2", n)
			}
			go func() {
				for range w {
				}
			}()
			synctest.Wait()
			if n := <-returned; n != 1 && unordered {
				t.Errorf("Done of job %d returned", n)
			}
			if err := p.Close(); err != nil {
				t.Error(err)
			}
			close(w)
		})
	}
}

// TestPrinter_BacklogIsBounded: if the reader is slower than the jobs, the
// number of jobs that wait for the reader must not exceed the number of
// goroutines that call Done.
func TestPrinter_BacklogIsBounded(t *testing.T) {
	s := openStore(t)
	synctest.Test(t, func(t *testing.T) {
		p := NewPrinter(s, &Options{Stdout: slowWriter{}, Stderr: io.Discard, Unordered: true})
		big := strings.Repeat("x", 100<<10)
		const callers = 8
		var last atomic.Int64
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				for n := int(last.Add(1)); n <= 200; n = int(last.Add(1)) {
					done(t, p, n, text(big, ""))
					p.mu.Lock()
					if backlog := len(p.queue); backlog > callers {
						t.Errorf("after job %d, %d jobs wait for the reader", n, backlog)
					}
					p.mu.Unlock()
				}
			})
		}
		wg.Wait()
		p.Close()
	})
}

// slowWriter needs time for each write.
type slowWriter struct{}

func (slowWriter) Write(data []byte) (int, error) {
	time.Sleep(time.Second) // in a synctest
	return len(data), nil
}

// blockedWriter writes to a channel.
type blockedWriter chan []byte

func (w blockedWriter) Write(data []byte) (int, error) {
	w <- bytes.Clone(data)
	return len(data), nil
}

// TestPrinter_OtherJobsDoNotWait: while job 1 runs, Done of later jobs must
// not wait.
func TestPrinter_OtherJobsDoNotWait(t *testing.T) {
	var out bytes.Buffer
	p := NewPrinter(openStore(t), &Options{Stdout: &out, Stderr: io.Discard})
	for n := 2; n < 50; n++ {
		done(t, p, n, text("x", "")) // would wait forever if it waited for job 1
	}
	done(t, p, 1, nil)
	p.Close()
	if out.Len() != 48 {
		t.Errorf("printed %d bytes", out.Len())
	}
}

// TestPrinter_ClosedPipe: the reader closes the pipe, as the program head
// does. Done and Close must return ErrReaderClosed.
func TestPrinter_ClosedPipe(t *testing.T) {
	for _, row := range []struct {
		name string
		opts Options
	}{
		{"grouped", Options{}}, {"unordered", Options{Unordered: true}}, {"json", Options{JSON: true}}, {"lines", Options{Mode: LineBuffer}},
	} {
		t.Run(row.name, func(t *testing.T) {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			r.Close()
			row.opts.Stdout, row.opts.Stderr = w, io.Discard
			p := NewPrinter(openStore(t), &row.opts)
			o := text("a line\n", "")
			if row.opts.Mode == LineBuffer {
				c, err := p.Begin([]string{"x"})
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprintln(c.Stdout, "a line")
				<-p.Failed() // must be closed while the job runs
				if o, err = c.Finish(false); err != nil {
					t.Fatal(err)
				}
			}
			p.Done(t.Context(), &Record{Number: 1}, o)
			<-p.Failed()
			if err := p.Done(t.Context(), &Record{Number: 2}, text("x", "")); err != ErrReaderClosed {
				t.Errorf("Done: %v", err)
			}
			if err := p.Close(); err != ErrReaderClosed {
				t.Errorf("Close: %v", err)
			}
		})
	}
}

// simplePrinter is a printer that keeps everything in memory.
type simplePrinter struct {
	jobs map[int][2]string
	next int
	out  [2]strings.Builder
}

func (p *simplePrinter) done(n int, output [2]string) {
	p.jobs[n] = output
	for o, ok := p.jobs[p.next]; ok; o, ok = p.jobs[p.next] {
		p.out[0].WriteString(o[0])
		p.out[1].WriteString(o[1])
		delete(p.jobs, p.next)
		p.next++
	}
}

// TestPrinter_AsSimplePrinter compares a Printer with a simplePrinter. The
// outputs have all sizes, and the store has little memory.
func TestPrinter_AsSimplePrinter(t *testing.T) {
	for round := range 40 {
		seed := rand.Uint64()
		random := rand.New(rand.NewPCG(seed, 1))
		s := openStore(t)
		s.memory = maxMemory - random.Int64N(300<<10) // the memory that counts as occupied
		s.large = maxLarge - random.IntN(3)
		memory, large := s.memory, s.large
		var out [2]bytes.Buffer
		p := NewPrinter(s, &Options{Stdout: &out[0], Stderr: &out[1]})
		simple := simplePrinter{jobs: map[int][2]string{}, next: 1}
		window := 1 + random.IntN(200)
		numbers := make([]int, 300)
		for i := range numbers {
			numbers[i] = i + 1
		}
		for i := 0; i < len(numbers); i += window {
			part := numbers[i:min(i+window, len(numbers))]
			random.Shuffle(len(part), func(i, j int) { part[i], part[j] = part[j], part[i] })
		}
		for _, n := range numbers {
			var output [2]string
			for i := range output {
				if size := random.ExpFloat64(); random.IntN(3) > 0 {
					output[i] = strings.Repeat(fmt.Sprint(n, i, "\n"), int(size*size*size*300))
				}
			}
			var o *Output
			switch random.IntN(3) {
			case 0:
				r := &Record{Stdout: int64(len(output[0])), Stderr: int64(len(output[1]))}
				o = Recorded(r, func(i int) io.Reader { return strings.NewReader(output[i]) })
			default:
				c, err := p.Begin(nil)
				if err != nil {
					t.Fatal(err)
				}
				io.WriteString(c.Stdout, output[0])
				io.WriteString(c.Stderr, output[1])
				if o, err = c.Finish(random.IntN(10) == 0); err != nil {
					t.Fatal(err)
				}
			}
			for i, r := range []io.Reader{o.Stdout(), o.Stderr()} {
				if got, err := io.ReadAll(r); string(got) != output[i] || err != nil {
					t.Fatalf("seed %d: output %d of job %d has %d bytes, want %d (%v)", seed, i, n, len(got), len(output[i]), err)
				}
			}
			simple.done(n, output)
			done(t, p, n, o)
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		for i := range out {
			if got, want := out[i].String(), simple.out[i].String(); got != want {
				t.Fatalf("seed %d: stream %d differs: %d bytes, want %d", seed, i, len(got), len(want))
			}
		}
		if s.memory != memory || s.large != large || s.over.held != 0 || s.over.end != 0 {
			t.Fatalf("seed %d, round %d: the store still holds %d bytes of memory, %d files, %d segments", seed, round, s.memory-memory, s.large-large, s.over.held)
		}
	}
}

// TestPrinter_ConcurrentJobs: many goroutines call Done.
func TestPrinter_ConcurrentJobs(t *testing.T) {
	var out bytes.Buffer
	p := NewPrinter(openStore(t), &Options{Stdout: &out, Stderr: io.Discard})
	numbers := make(chan int)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for n := range numbers {
				c, err := p.Begin(nil)
				if err != nil {
					t.Error(err)
					return
				}
				fmt.Fprintln(c.Stdout, n)
				o, err := c.Finish(false)
				if err != nil {
					t.Error(err)
				}
				done(t, p, n, o)
			}
		})
	}
	var want strings.Builder
	for n := 1; n <= 2000; n++ {
		numbers <- n
		fmt.Fprintln(&want, n)
	}
	close(numbers)
	wg.Wait()
	if err := p.Close(); err != nil || out.String() != want.String() {
		t.Errorf("the output is not that of 2000 jobs in order: %d bytes, %v", out.Len(), err)
	}
}
