package get

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// TestReport_Late: a failure after the line of stopping must be printed at the
// end.
func TestReport_Late(t *testing.T) {
	var errOut strings.Builder
	r := newReport(options{}, 2, io.Discard, &errOut)
	w := &wanted{url: "http://h/f"}
	r.finished(outcome{wanted: w, err: errors.New("first")}, false)
	r.stopping()
	r.finished(outcome{wanted: w, index: 1, err: errors.New("second")}, false)
	r.close(true)
	for _, line := range []string{"failed  http://h/f: first\n", "failed  http://h/f: second\n"} {
		if strings.Count(errOut.String(), line) != 1 {
			t.Errorf("not once %q in:\n%s", line, errOut.String())
		}
	}
}

// TestReport_ManyReasons: if not all reasons are listed, the last line must say
// where they are.
func TestReport_ManyReasons(t *testing.T) {
	for _, row := range []struct {
		o    options
		want string // "" if all are listed
	}{{options{}, "(the lines above have all)"}, {options{json: true}, "(the events have all)"}, {options{quiet: true}, ""}} {
		var errOut strings.Builder
		r := newReport(row.o, 30, io.Discard, &errOut)
		for i := range 30 {
			r.finished(outcome{wanted: &wanted{url: "http://h/f"}, index: int32(i), err: fmt.Errorf("reason %d", i)}, false)
		}
		r.close(false)
		_, text, _ := strings.Cut(errOut.String(), "30 of 30 files failed:\n")
		if got := strings.Contains(text, "for other reasons"); got != (row.want != "") || !strings.Contains(text, row.want) {
			t.Errorf("%+v:\n%s", row, text)
		}
	}
}

// TestReport_StoppedBy: on the live page, the file whose error stops the list
// must have failed. It must not seem to run forever.
func TestReport_StoppedBy(t *testing.T) {
	r := newReport(options{}, 1, io.Discard, io.Discard)
	r.live = new(live)
	w := &wanted{url: "http://h/f"}
	r.begun(&file{wanted: w}, "f")
	r.stoppedBy(outcome{wanted: w, err: errors.New("the disk is full")})
	if s := r.live.feed.Stats(); s.Running != 0 || s.Failed.Errors != 1 {
		t.Errorf("the numbers are %+v", s)
	}
}
