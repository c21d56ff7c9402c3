package cli

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"concert/internal/flagerror"
)

// Flags are the flags of a command, in the order of its help. Each flag is
// declared once: the parser, the help and the completion scripts use this
// declaration.
type Flags struct {
	flag.FlagSet
	list []declared
}

// declared is a flag in the form in which the help lists it.
type declared struct {
	name  string // the name with its dashes
	value string // the word for the value in the help; empty for a switch
	about string
}

// NewFlags returns an empty set of flags for the command.
func NewFlags() *Flags {
	f := new(Flags)
	f.Init("", flag.ContinueOnError)
	f.SetOutput(io.Discard) // package flag must print nothing, because the help is a separate text
	return f
}

// Add declares a flag that sets *into, which holds the default: a bool, an int,
// a string, a time.Duration or a flag.Value. The parameter value is the word
// for the value in the help: DIR, LIST, FILE, N or D, for example, or empty for
// a bool. The parameter about says what the flag means. If the default is not
// zero, and about does not state the default, Add appends the default to about.
func (f *Flags) Add(into any, name, value, about string) {
	switch into := into.(type) {
	case *bool:
		f.BoolVar(into, name, *into, "")
	case *int:
		f.IntVar(into, name, *into, "")
	case *string:
		f.StringVar(into, name, *into, "")
	case *time.Duration:
		f.DurationVar(into, name, *into, "")
	default:
		f.Var(into.(flag.Value), name, "")
	}
	switch d := f.Lookup(name).DefValue; d {
	case "", "0", "0s", "false":
	default:
		if !strings.Contains(about, "(default ") {
			about += fmt.Sprintf(" (default %s)", d)
		}
	}
	f.list = append(f.list, declared{flagerror.Dashed(name), value, about})
}

// CheckOrder returns an error if an argument begins with a hyphen, because
// flags go before the arguments. The parameter what is the name of the
// arguments in the error, such as "URLs".
func (f *Flags) CheckOrder(what string) error {
	if slices.ContainsFunc(f.Args(), func(arg string) bool { return strings.HasPrefix(arg, "-") }) {
		return UsageError{Text: "flags go before " + what}
	}
	return nil
}

// summary returns the meaning of a flag up to the first comma, semicolon or
// parenthesis.
func (d declared) summary() string {
	if i := strings.IndexAny(d.about, ",;("); i >= 0 {
		return strings.TrimRight(d.about[:i], " ")
	}
	return d.about
}

const helpColumns = 80

// help returns the list of flags for a help, in two columns.
func (f *Flags) help() string {
	width := 0
	for _, d := range f.list {
		width = max(width, len(d.name+" "+d.value))
	}
	margin := "\n" + strings.Repeat(" ", width+4)
	var b strings.Builder
	for _, d := range f.list {
		about := strings.ReplaceAll(Wrap(d.about, helpColumns-width-4), "\n", margin)
		fmt.Fprintf(&b, "  %-*s  %s\n", width, d.name+" "+d.value, about)
	}
	return b.String()
}

// Parse parses the flags of a command line. It returns flag.ErrHelp for -h.
// Other errors are a [UsageError] that says what the value of a flag should be.
func (f *Flags) Parse(args []string) error {
	err := f.FlagSet.Parse(args)
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return err
	}
	return UsageError{flagerror.Text(&f.FlagSet, err)}
}
