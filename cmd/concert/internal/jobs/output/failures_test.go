package output

import (
	"fmt"
	"strings"
	"testing"
)

func TestFailures_Text(t *testing.T) {
	traceback := "Traceback (most recent call last):\n  File \"x.py\", line 1, in f\nValueError: bad value\n"
	var f Failures
	add := func(r Record, stderr string) {
		r.Attempts = 1
		f.Add(&r, text("", stderr))
	}
	if f.Add(&Record{Number: 1, Status: OK}, nil); f.Text() != "" {
		t.Errorf("without failures: %q", f.Text())
	}
	for n := 30; n > 10; n-- {
		add(Record{Number: n, Inputs: []string{fmt.Sprint("in", n)}, Status: Failed, ExitCode: 2}, fmt.Sprintf("\n\n  no file %d \nmore\n", n))
	}
	add(Record{Number: 31, Inputs: []string{"a", "b"}, Status: Killed, Signal: "SIGSEGV"}, "")
	add(Record{Number: 32, Inputs: []string{"\x1b[2J\n"}, Status: Failed, ExitCode: 1}, "\x1b]0;title\a\u202e\n")
	add(Record{Number: 33, Inputs: []string{strings.Repeat("é", 500)}, Status: Failed, ExitCode: 1}, traceback)
	add(Record{Number: 34, Status: Timeout, Error: "killed after 1s"}, "ignored")
	f.Add(&Record{Number: 35, Status: NotStarted, Error: "xyz: not found"}, nil)
	want := `25 of 26 jobs failed:
  exit code 2: 20 jobs
    job 11 (in11): no file 11
    job 12 (in12): no file 12
    job 13 (in13): no file 13
    job 14 (in14): no file 14
    job 15 (in15): no file 15
    and 15 more
  exit code 1: 2 jobs
    job 32 (\x1b[2J\n): \x1b]0;title\x07\u202e
    job 33 (` + strings.Repeat("é", 120) + `...): ValueError: bad value
  killed by SIGSEGV: 1 job
    job 31 (a b)
  not started: 1 job
    job 35: xyz: not found
  timeout: 1 job
    job 34: killed after 1s
`
	if got := f.Text(); got != want {
		t.Errorf("the summary is\n%s\nwant\n%s", got, want)
	}
}

// TestFailures_Many: the number of lines and the memory must be bounded.
func TestFailures_Many(t *testing.T) {
	var f Failures
	for n := range 100_000 {
		f.Add(&Record{Number: n + 1, Inputs: []string{strings.Repeat("x", 1000)}, Status: Failed, ExitCode: 1 + n%250, Attempts: 1}, text("", strings.Repeat("y", 2000)))
	}
	got := f.Text()
	if lines := strings.Count(got, "\n"); lines != 1+maxGroups+2*maxNamed+1 || len(got) > 10_000 {
		t.Errorf("%d lines, %d bytes:\n%s", lines, len(got), got)
	}
	if !strings.HasPrefix(got, "100000 of 100000 jobs failed:\n") || !strings.HasSuffix(got, "\n  and 92000 more for other reasons\n") {
		t.Errorf("the summary is\n%s", got)
	}
	kept := 0
	for _, g := range f.groups {
		kept += len(g.named)
	}
	if kept > 250*maxNamed {
		t.Errorf("%d failures are kept", kept)
	}
}
