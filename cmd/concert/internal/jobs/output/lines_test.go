//go:build unix

package output

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
)

// lineWriter records the writes of a Printer.
type lineWriter struct {
	mu     sync.Mutex // guards the fields below
	writes []string
	got    chan string // each write, unless nil
}

func (w *lineWriter) Write(data []byte) (int, error) {
	w.mu.Lock()
	w.writes = append(w.writes, string(data))
	w.mu.Unlock()
	if w.got != nil {
		w.got <- string(data)
	}
	return len(data), nil
}

func (w *lineWriter) text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.writes, "")
}

// TestLines_AsTheyCome: a line is printed when it is complete, and not before.
func TestLines_AsTheyCome(t *testing.T) {
	for _, keep := range []bool{false, true} {
		for _, tagged := range []bool{false, true} {
			t.Run(fmt.Sprintf("keep=%t,tag=%t", keep, tagged), func(t *testing.T) {
				out, errOut := &lineWriter{got: make(chan string, 100)}, &lineWriter{got: make(chan string, 100)}
				p := NewPrinter(openStore(t), &Options{Stdout: out, Stderr: errOut, Mode: LineBuffer, Tag: tagged, Keep: keep})
				c, err := p.Begin([]string{"a\tb\nc\x1b"})
				if err != nil {
					t.Fatal(err)
				}
				prefix := ""
				if tagged {
					prefix = `a\tb\nc\x1b` + "\t"
				}
				expect := func(w *lineWriter, lines ...string) {
					t.Helper()
					var want strings.Builder
					for _, l := range lines {
						want.WriteString(prefix + l + "\n")
					}
					if got := <-w.got; got != want.String() {
						t.Errorf("printed %q, want %q", got, &want)
					}
				}
				io.WriteString(c.Stdout, "be")
				io.WriteString(c.Stderr, "error\n")
				expect(errOut, "error")
				io.WriteString(c.Stdout, "gin\nsecond\nthi")
				expect(out, "begin", "second")
				io.WriteString(c.Stdout, "rd")
				o, err := c.Finish(false)
				if err != nil {
					t.Fatal(err)
				}
				expect(out, "third")
				if stdout, stderr := o.Size(); stdout != 18 || stderr != 6 {
					t.Errorf("the sizes are %d and %d", stdout, stderr)
				}
				if got := readAll(t, o.Stderr()); got != "error\n" {
					t.Errorf("stderr is %q", got)
				}
				if got := readAll(t, o.Stdout()); keep && got != "begin\nsecond\nthird" {
					t.Errorf("stdout is %q", got)
				}
				done(t, p, 1, o)
				done(t, p, 2, text("of an earlier run\n", ""))
				p.Close()
				if n := len(out.writes); n != 3 {
					t.Errorf("there were %d writes: %q", n, out.writes)
				}
			})
		}
	}
}

func readAll(t testing.TB, r io.Reader) string {
	t.Helper()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Error(err)
	}
	return string(data)
}

// TestLines_Survivor: a process that has outlived its job has the pipe open.
// Finish must return nevertheless.
func TestLines_Survivor(t *testing.T) {
	out := &lineWriter{}
	p := NewPrinter(openStore(t), &Options{Stdout: out, Stderr: io.Discard, Mode: LineBuffer})
	c, err := p.Begin(nil)
	if err != nil {
		t.Fatal(err)
	}
	survivor, err := duplicate(c.Stdout)
	if err != nil {
		t.Fatal(err)
	}
	defer survivor.Close()
	lines := strings.Repeat("a line\n", 9000) // fits in the pipe
	io.WriteString(c.Stdout, lines)
	if _, err := c.Finish(true); err != nil { // would wait forever if it waited for the end of the pipe
		t.Fatal(err)
	}
	p.Close()
	if got := out.text(); got != lines {
		t.Errorf("printed %d bytes, want %d", len(got), len(lines))
	}
}

// TestLines_SurvivorWrites: a process that has outlived its job writes as fast
// as the reader reads. The job must end nevertheless.
func TestLines_SurvivorWrites(t *testing.T) {
	out := &refill{}
	p := NewPrinter(openStore(t), &Options{Stdout: out, Stderr: io.Discard, Mode: LineBuffer})
	c, err := p.Begin(nil)
	if err != nil {
		t.Fatal(err)
	}
	if out.survivor, err = duplicate(c.Stdout); err != nil {
		t.Fatal(err)
	}
	defer out.survivor.Close()
	io.WriteString(c.Stdout, strings.Repeat("a line\n", 4000)) // half of the capacity of a pipe
	if _, err := c.Finish(true); err != nil {
		t.Fatal(err)
	}
	p.Close()
	if out.size >= refillEnd {
		t.Error("the job has ended only because the process did not write any longer")
	}
}

const refillEnd = 1 << 30

// refill writes the bytes that were read from a pipe to the pipe again.
type refill struct {
	survivor *os.File
	size     int
}

func (w *refill) Write(data []byte) (int, error) {
	if w.size += len(data); w.size < refillEnd {
		w.survivor.Write(data)
	}
	return len(data), nil
}

// TestLines_Long: a line that is too long must be broken, so that the memory
// is bounded.
func TestLines_Long(t *testing.T) {
	out := &lineWriter{}
	p := NewPrinter(openStore(t), &Options{Stdout: out, Stderr: io.Discard, Mode: LineBuffer})
	c, err := p.Begin(nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 * maxLine / 4096 {
		io.WriteString(c.Stdout, strings.Repeat("x", 4096))
	}
	io.WriteString(c.Stdout, "\nshort\n")
	if _, err := c.Finish(false); err != nil {
		t.Fatal(err)
	}
	p.Close()
	got := out.text()
	if strings.Count(got, "x") != 5*maxLine || !strings.HasSuffix(got, "\nshort\n") {
		t.Errorf("bytes of the line are missing: %d, %q", len(got), got[max(0, len(got)-20):])
	}
	for _, w := range out.writes {
		if len(w) > maxLine+64<<10 {
			t.Errorf("a write of %d bytes", len(w))
		}
		if !strings.HasSuffix(w, "\n") {
			t.Error("a write that is not a line")
		}
	}
}

// TestLines_NotMixed: lines of concurrent jobs must not be mixed.
func TestLines_NotMixed(t *testing.T) {
	out := &lineWriter{}
	p := NewPrinter(openStore(t), &Options{Stdout: out, Stderr: out, Mode: LineBuffer, Tag: true})
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			c, err := p.Begin([]string{fmt.Sprint(n)})
			if err != nil {
				t.Error(err)
				return
			}
			for i := range 300 {
				line := strings.Repeat(fmt.Sprint(n), i) + "\n"
				io.WriteString(c.Stdout, line[:i/2])
				io.WriteString(c.Stdout, line[i/2:])
				io.WriteString(c.Stderr, "e\n")
			}
			if _, err := c.Finish(false); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	p.Close()
	count := map[string]int{}
	for line := range strings.Lines(out.text()) {
		tag, rest, ok := strings.Cut(line, "\t")
		if rest = strings.TrimSuffix(rest, "\n"); !ok || rest != "e" && rest != strings.Repeat(tag, len(rest)) {
			t.Fatalf("the line %q is mixed", line)
		}
		count[tag]++
	}
	for n := range 8 {
		if got := count[fmt.Sprint(n)]; got != 600 {
			t.Errorf("job %d has %d lines", n, got)
		}
	}
}
