// Package flagerror explains errors of command lines for the users of a
// command: it names a flag as a help text does, and says what the value of the
// flag should be.
package flagerror

import (
	"flag"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"
)

// badValue matches the error of package flag for a value that cannot be parsed:
// the value, the flag and the reason.
var badValue = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^invalid (?:boolean )?value ("(?:[^"\\]|\\.)*") for (?:flag )?-([A-Za-z0-9.-]+): (.*)$`)
})

// Text returns what to print for an error of flags.Parse.
func Text(flags *flag.FlagSet, err error) string {
	text := err.Error()
	if name, ok := strings.CutPrefix(text, "flag provided but not defined: -"); ok {
		return "no flag " + Dashed(name)
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
			case int:
				want = "want a whole number"
			case bool:
				want = "want true or false"
			}
		}
	}
	return fmt.Sprintf("%s %s: %s", Dashed(m[2]), m[1], want)
}

// Dashed returns the name of a flag as a help text shows it.
func Dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}
