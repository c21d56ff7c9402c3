// Package cmdline has what the command lines of all commands of the project
// share. [Parse] accepts flags before, between and after the arguments. [Text]
// explains an error for the users of a command: it names a flag as a help text
// does, and says what the value of the flag should be, or which flag was
// probably meant.
package cmdline

import (
	"flag"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// badValue matches the error of package flag for a value that cannot be
// parsed. Its groups are the value, the flag and the reason.
var badValue = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^invalid (?:boolean )?value ("(?:[^"\\]|\\.)*") for (?:flag )?-([A-Za-z0-9.-]+): (.*)$`)
})

// Text returns what to print for an error of flags.Parse.
func Text(flags *flag.FlagSet, err error) string {
	text := err.Error()
	if name, ok := strings.CutPrefix(text, "flag provided but not defined: -"); ok {
		return "no flag " + Dashed(name) + meant(flags, name)
	}
	if name, ok := strings.CutPrefix(text, "flag needs an argument: -"); ok {
		return Dashed(name) + " without a value"
	}
	m := badValue().FindStringSubmatch(text)
	if m == nil {
		return text
	}
	want := m[3] // the text of package flag, or of a flag type of the program
	if known := flags.Lookup(m[2]); known != nil {
		if g, ok := known.Value.(flag.Getter); ok {
			switch g.Get().(type) {
			case time.Duration:
				want = "want a time with its unit, as in 30s or 2m"
				if value, err := strconv.Unquote(m[1]); err == nil && plainNumber().MatchString(value) {
					want = "want a time with its unit, as in " + value + "s"
				}
			case int:
				want = "want a whole number"
			case bool:
				want = "want true or false"
			}
		}
	}
	return fmt.Sprintf("%s %s: %s", Dashed(m[2]), m[1], want)
}

// plainNumber matches a number without a unit.
var plainNumber = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9]{1,9}(\.[0-9]{1,9})?$`) })

// meant returns a question about the flag that was probably meant by an unknown
// one. It is empty if no flag has a similar name.
func meant(flags *flag.FlagSet, name string) string {
	var names []string
	flags.VisitAll(func(f *flag.Flag) { names = append(names, f.Name) })
	if near := Nearest(name, names); near != "" {
		return "; did you mean " + Dashed(near) + "?"
	}
	return ""
}

// Dashed returns the name of a flag as a help text shows it. A letter with an
// attached number has one dash, too.
func Dashed(name string) string {
	if len(name) == 1 || len(name) > 1 && name[1] >= '0' && name[1] <= '9' {
		return "-" + name
	}
	return "--" + name
}
