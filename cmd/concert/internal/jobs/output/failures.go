package output

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"concert/internal/printable"
)

const (
	maxNamed      = 10  // failed jobs that the summary names
	maxGroups     = 20  // lines about groups of failures
	maxNamedText  = 120 // characters of an input, and of a line of stderr
	maxFirstBytes = 64 << 10
)

// Failures is the summary of the jobs that failed. The memory that it needs
// does not depend on the number of jobs. It is not safe for concurrent use.
type Failures struct {
	total  int // the number of jobs that were added
	failed int
	groups map[string]*failureGroup
}

// failureGroup has the jobs that failed in the same way.
type failureGroup struct {
	reason string
	count  int
	named  []failure // the jobs with the lowest numbers, sorted
}

// failure is a job that failed.
type failure struct {
	number   int
	input    string
	detail   string
	attempts int
}

// Add counts a job, and reads the beginning of its stderr if it failed. Add is
// called before Done.
func (f *Failures) Add(r *Record, o *Output) {
	f.total++
	if r.Status == OK {
		return
	}
	f.failed++
	reason := r.reason()
	g := f.groups[reason]
	if g == nil {
		if f.groups == nil {
			f.groups = make(map[string]*failureGroup)
		}
		g = &failureGroup{reason: reason}
		f.groups[reason] = g
	}
	g.count++
	i, _ := slices.BinarySearchFunc(g.named, r.Number, func(a failure, n int) int { return cmp.Compare(a.number, n) })
	if i == maxNamed {
		return
	}
	if len(g.named) == maxNamed {
		g.named = g.named[:maxNamed-1]
	}
	detail := r.Error
	if detail == "" && o != nil {
		detail = firstLine(o.Stderr())
	}
	g.named = slices.Insert(g.named, i, failure{r.Number, shorten(strings.Join(r.Inputs, " ")), shorten(detail), r.Attempts})
}

// reason returns the kind of a failure, with the exit code or the signal.
func (r *Record) reason() string {
	switch {
	case r.Status == Failed && r.ExitCode != 0:
		return fmt.Sprintf("exit code %d", r.ExitCode)
	case r.Status == Killed && r.Signal != "":
		return "killed by " + r.Signal
	}
	return string(r.Status)
}

// Text returns the lines of the summary, safe for a terminal. It is empty if no
// job failed.
func (f *Failures) Text() string {
	if f.failed == 0 {
		return ""
	}
	groups := make([]*failureGroup, 0, len(f.groups))
	for _, g := range f.groups {
		groups = append(groups, g)
	}
	slices.SortFunc(groups, func(a, b *failureGroup) int {
		return cmp.Or(cmp.Compare(b.count, a.count), cmp.Compare(a.reason, b.reason))
	})
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %s failed:\n", f.failed, jobs(f.total))
	rest := 0
	for i, named := range divide(groups) {
		g := groups[i]
		if i >= maxGroups {
			rest += g.count
			continue
		}
		fmt.Fprintf(&b, "  %s: %s\n", g.reason, jobs(g.count))
		for _, n := range g.named[:named] {
			fmt.Fprintf(&b, "    %s\n", n.line())
		}
		if more := g.count - named; more > 0 && named > 0 {
			fmt.Fprintf(&b, "    and %d more\n", more)
		}
	}
	if rest > 0 {
		fmt.Fprintf(&b, "  and %d more for other reasons\n", rest)
	}
	return b.String()
}

// divide returns the number of jobs in each group that the summary names. It
// adds one job of each group in turn until maxNamed jobs are reached.
func divide(groups []*failureGroup) []int {
	named := make([]int, len(groups))
	for left, before := maxNamed, -1; left > 0 && left != before; {
		before = left
		for i, g := range groups {
			if left > 0 && named[i] < len(g.named) {
				named[i]++
				left--
			}
		}
	}
	return named
}

func (f *failure) line() string {
	line := fmt.Sprintf("job %d", f.number)
	if f.input != "" {
		line += " (" + f.input + ")"
	}
	if f.attempts > 1 {
		line += fmt.Sprintf(" after %d attempts", f.attempts)
	}
	if f.detail != "" {
		line += ": " + f.detail
	}
	return line
}

// jobs returns a number of jobs as text.
func jobs(n int) string {
	if n == 1 {
		return "1 job"
	}
	return fmt.Sprintf("%d jobs", n)
}

// firstLine returns the first line that is not empty. For a traceback of
// Python, it returns the last line, which has the error.
func firstLine(r io.Reader) string {
	data, _ := io.ReadAll(io.LimitReader(r, maxFirstBytes))
	data = bytes.TrimSpace(data)
	first, _, _ := bytes.Cut(data, []byte{'\n'})
	if bytes.HasPrefix(first, []byte("Traceback (most recent call last)")) {
		first = data[bytes.LastIndexByte(data, '\n')+1:]
	}
	return string(bytes.TrimSpace(first))
}

// shorten makes a text safe for one line of a terminal, and limits its length.
func shorten(text string) string {
	end := ""
	if n := 4 * maxNamedText; len(text) > n { // at most 4 bytes are a character
		for range utf8.UTFMax - 1 {
			if !utf8.RuneStart(text[n]) {
				n--
			}
		}
		text, end = text[:n], "..."
	}
	text = lineEscapes.Replace(printable.Text(text))
	if r := []rune(text); len(r) > maxNamedText {
		return string(r[:maxNamedText]) + "..."
	}
	return text + end
}
