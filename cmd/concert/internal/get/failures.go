package get

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"concert/download"
	"concert/progress"
)

// failures has the files that failed, by reason.
type failures struct {
	groups []*failureGroup
	byText map[string]*failureGroup
	count  int
}

// failureGroup has the files that failed for one reason.
type failureGroup struct {
	reason string
	files  []failure
}

// failure is a file that failed.
type failure struct {
	*wanted
	reason string // the reason of the group
	detail string
	order  int
}

// maxFailureLines is the maximum number of lines about failures at the end of a
// run.
const maxFailureLines = 20

// add adds a file that failed.
func (f *failures) add(o *outcome) {
	reason := o.reason()
	g := f.byText[reason]
	if g == nil {
		if f.byText == nil {
			f.byText = make(map[string]*failureGroup)
		}
		g = &failureGroup{reason: reason}
		f.byText[reason] = g
		f.groups = append(f.groups, g)
	}
	g.files = append(g.files, failure{o.wanted, reason, o.detail(), f.count})
	f.count++
}

// text returns the list of failures. If all is set, or there are few failures,
// the list has a line for each file. Otherwise it has a line for each reason.
// If there are too many reasons, too, the list ends with the parameter more, a
// text that says where to find all failures.
func (f *failures) text(total int, all bool, more string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d files failed:\n", f.count, total)
	if all || f.count <= maxFailureLines {
		var lines []failure
		for _, g := range f.groups {
			lines = append(lines, g.files...)
		}
		slices.SortFunc(lines, func(a, b failure) int { return cmp.Compare(a.order, b.order) })
		for _, l := range lines {
			b.WriteString(l.line())
		}
		return b.String()
	}
	groups := slices.Clone(f.groups)
	slices.SortStableFunc(groups, func(a, b *failureGroup) int { return cmp.Compare(len(b.files), len(a.files)) })
	rest := 0
	for i, g := range groups {
		switch {
		case i >= maxFailureLines:
			rest += len(g.files)
		case len(g.files) == 1:
			b.WriteString(g.files[0].line())
		default:
			fmt.Fprintf(&b, "  %d files: %s, such as %s\n", len(g.files), g.reason, g.files[0].shown())
		}
	}
	if rest > 0 {
		fmt.Fprintf(&b, "  and %d files for other reasons%s\n", rest, more)
	}
	return b.String()
}

// line returns the line about a file.
func (f *failure) line() string { return fmt.Sprintf("  %s: %s%s\n", f.shown(), f.reason, f.detail) }

// reason returns the text of an error without the parts that differ between
// files.
func (o *outcome) reason() string {
	if errors.Is(o.err, context.Canceled) || errors.Is(o.err, errStopped) {
		return "interrupted"
	}
	if lost, ok := errors.AsType[*lostError](o.err); ok {
		return lost.Error()
	}
	e, ok := errors.AsType[*download.Error](o.err)
	if !ok {
		return strings.TrimPrefix(o.err.Error(), "download: ")
	}
	if errors.Is(o.err, fs.ErrExist) {
		if sum, ok := errors.AsType[*download.ChecksumError](o.err); ok {
			return fmt.Sprintf("%s already exists, and has the checksum %s instead of %s (--overwrite replaces it)", o.name, sum.Got, sum.Want)
		}
		return fmt.Sprintf("%s %s (--overwrite replaces it, --skip-existing keeps it)", o.name, strings.TrimPrefix(strings.ReplaceAll(e.Err.Error(), "file already exists", "already exists"), "file "))
	}
	return fmt.Sprintf("cannot %s: %v%s", e.Op, e.Err, hint(o.err))
}

// hint returns a text about the flag that removes the cause of an error, or
// "".
func hint(err error) string {
	_, isUnknown := errors.AsType[x509.UnknownAuthorityError](err)
	switch {
	case isUnknown:
		return " (--cacert trusts another authority)"
	case errors.Is(err, download.ErrImplausible):
		return " (--overwrite replaces it)"
	case errors.Is(err, download.ErrRetryAfter):
		return " (--retry-max-time permits longer pauses)"
	}
	return ""
}

// detail returns the rest of the text of an error: the first line of the reply,
// and the number of attempts.
func (o *outcome) detail() (text string) {
	e, ok := errors.AsType[*download.Error](o.err)
	if ok && e.Body != "" {
		text = ": " + e.Body
	}
	if o.attempts > 1 {
		text += fmt.Sprintf(" (%d attempts)", o.attempts)
	}
	if kept := o.kept(); kept > 0 {
		text += fmt.Sprintf(" (%s kept: the same command continues)", progress.Bytes(kept))
	}
	return text
}

// why returns the text of an error for the user.
func (o *outcome) why() string { return o.reason() + o.detail() }
