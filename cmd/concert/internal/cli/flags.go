package cli

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"regexp"
	"time"
)

// badValue matches the error of package flag for a value that cannot be parsed:
// the value, the flag and the reason.
var badValue = regexp.MustCompile(`^invalid (?:boolean )?value ("(?:[^"\\]|\\.)*") for (?:flag )?-([a-z-]+): (.*)$`)

var unknownFlag = regexp.MustCompile(`^flag provided but not defined: -(.*)$`)

// NewFlags returns a set of flags that prints nothing: the help of a command is
// a text of its own.
func NewFlags(command string) *flag.FlagSet {
	flags := flag.NewFlagSet(command, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	return flags
}

// NoFlags returns the arguments of a command line that may have no flags but
// -h.
func NoFlags(args []string) ([]string, error) {
	flags := NewFlags("")
	if err := Parse(flags, args); err != nil {
		return nil, err
	}
	return flags.Args(), nil
}

// Parse parses the flags of a command. Its error is flag.ErrHelp for -h,
// and otherwise a [UsageError] that says what the value of a flag should be.
func Parse(flags *flag.FlagSet, args []string) error {
	err := flags.Parse(args)
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return err
	}
	text := err.Error()
	if m := unknownFlag.FindStringSubmatch(text); m != nil {
		return UsageError{"no flag " + dashed(m[1])}
	}
	m := badValue.FindStringSubmatch(text)
	if m == nil {
		return UsageError{text}
	}
	want := m[3] // as a type of this program says
	if f := flags.Lookup(m[2]); f != nil {
		if g, ok := f.Value.(flag.Getter); ok {
			switch g.Get().(type) {
			case time.Duration:
				want = "want a time with its unit, as in 30s or 2m"
			case int:
				want = "want a whole number"
			case bool:
				want = "want true or false"
			}
		}
	}
	return UsageError{fmt.Sprintf("%s %s: %s", dashed(m[2]), m[1], want)}
}

// dashed returns the name of a flag as the help has it.
func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}
