package cli

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"concert/internal/cmdline"
)

// Flags are the flags of a command, in the order of its help. Each flag is
// declared once: the parser, the help, the manual page and the completion
// scripts use this declaration.
type Flags struct {
	flag.FlagSet
	list  []cmdline.Flag
	group string // the group of the flags that Add declares next
}

// Texts is a flag that may occur several times. It has the values in their
// order.
type Texts []string

// String returns the values with spaces between them.
func (t *Texts) String() string { return strings.Join(*t, " ") }

// Set adds a value.
func (t *Texts) Set(s string) error {
	*t = append(*t, s)
	return nil
}

// NewFlags returns an empty set of flags for the command.
func NewFlags() *Flags {
	f := new(Flags)
	f.Init("", flag.ContinueOnError)
	f.SetOutput(io.Discard) // package flag must print nothing, because the help is a separate text
	return f
}

// Add declares a flag. The parameter into points to the variable that the
// flag sets: a bool, an int, a string, a time.Duration or a flag.Value. The
// variable has the default. The parameter value is the word for the value in
// the help, such as DIR, LIST, FILE, N or D; it is empty for a bool. The
// parameter about is the meaning of the flag. If this text does not state
// the default, and the default is not zero, Add appends the default to the
// text.
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
	_, repeat := into.(*Texts)
	f.list = append(f.list, cmdline.Flag{Name: cmdline.Dashed(name), Value: value, About: about, Group: f.group, Repeat: repeat})
}

// Group begins a group of flags, which has a heading in the help.
func (f *Flags) Group(heading string) { f.group = heading }

const helpColumns = 80

// help returns the list of flags for a help, in two columns.
func (f *Flags) help() string {
	width := 0
	for _, d := range f.list {
		width = max(width, len(d.Name+" "+d.Value))
	}
	margin := "\n" + strings.Repeat(" ", width+4)
	var b strings.Builder
	group := ""
	for _, d := range f.list {
		if d.Group != group {
			group = d.Group
			fmt.Fprintf(&b, "\n%s:\n", group)
		}
		about := strings.ReplaceAll(Wrap(d.About, helpColumns-width-4), "\n", margin)
		fmt.Fprintf(&b, "  %-*s  %s\n", width, d.Name+" "+d.Value, about)
	}
	return b.String()
}

// Parse parses a command line with the flags before the arguments. It returns
// flag.ErrHelp for -h. A value may be attached to a flag with one letter, as in
// -j2. Other errors are a [UsageError] that says what the value
// of a flag should be.
func (f *Flags) Parse(args []string) error { return f.explain(cmdline.ParseFirst(&f.FlagSet, args)) }

// ParseAnywhere is Parse for a command line with flags before, between and
// after the arguments. The argument "--" ends the flags.
func (f *Flags) ParseAnywhere(args []string) error { return f.explain(cmdline.Parse(&f.FlagSet, args)) }

// explain returns the error of Parse for an error of package flag.
func (f *Flags) explain(err error) error {
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return err
	}
	return UsageError{cmdline.Text(&f.FlagSet, err)}
}
