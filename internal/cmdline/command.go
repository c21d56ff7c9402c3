package cmdline

import (
	"regexp"
	"strings"
	"sync"
)

// Command describes a subcommand of a program, for its manual page and for the
// completion scripts.
type Command struct {
	Name    string // empty for the program as a whole
	Summary string
	Help    string   // what -h prints; a line "Flags:" stands before the flags
	Flags   []Flag   // without -h, which all commands have
	Words   []string // what completion offers in addition to the flags
}

// Flag describes a flag as the help lists it.
type Flag struct {
	Name   string // with its dashes
	Value  string // the word for the value in the help; empty for a switch
	About  string
	Group  string // the heading above the flag in the help; may be empty
	Repeat bool   // whether the flag may occur several times
}

// Summary returns the meaning of a flag up to the first comma, semicolon or
// parenthesis.
func (f Flag) Summary() string {
	if i := strings.IndexAny(f.About, ",;("); i >= 0 {
		return strings.TrimRight(f.About[:i], " ")
	}
	return f.About
}

// allFlags returns the flags of a command, and -h.
func (c *Command) allFlags() []Flag {
	return append([]Flag{{Name: "-h", About: "help"}}, c.Flags...)
}

const flagsHeading = "Flags"

// flagLine matches the first line of a flag in a help: its name, its value and
// the text.
var flagLine = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^  (--?[a-z-]+)(?: ([A-Z:]+))?(?:  +(.*))?$`)
})

// FlagsOf returns the flags that a help lists. The flags are below the line
// "Flags:", or below a heading of their own, which is then their group. The
// text of a flag continues on the next lines if these are indented further.
func FlagsOf(help string) (flags []Flag) {
	heading := ""
	inFlag := false
	for line := range strings.Lines(help) {
		line = strings.TrimRight(line, "\n")
		if m := flagLine().FindStringSubmatch(line); m != nil {
			group := heading
			if group == flagsHeading {
				group = ""
			}
			flags = append(flags, Flag{Name: m[1], Value: m[2], About: m[3], Group: group})
			inFlag = true
			continue
		}
		if inFlag && strings.HasPrefix(line, "   ") {
			last := &flags[len(flags)-1]
			last.About = strings.TrimSpace(last.About + " " + strings.TrimSpace(line))
			continue
		}
		inFlag = false
		if text, ok := strings.CutSuffix(line, ":"); ok && !strings.HasPrefix(line, " ") {
			heading = text
		}
	}
	return flags
}
