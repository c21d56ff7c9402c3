package cmdline

import (
	"flag"
	"strings"
)

// ParseFirst parses a command line with flags before the arguments. The errors
// are those of flags.Parse, such as flag.ErrHelp. The value of a flag with one
// letter may be attached to it, as in -j2.
func ParseFirst(flags *flag.FlagSet, args []string) error {
	var parsed []string
	for len(args) > 0 {
		arg := args[0]
		if len(arg) < 2 || arg[0] != '-' || arg == "--" {
			break
		}
		n := 1
		if name, value, ok := attached(flags, arg); ok {
			parsed = append(parsed, name, value)
		} else {
			if takesNext(flags, arg) && len(args) > 1 {
				n = 2
			}
			parsed = append(parsed, args[:n]...)
		}
		args = args[n:]
	}
	return flags.Parse(append(parsed, args...))
}

// Parse is ParseFirst for a command line with flags before, between and after
// the arguments. The argument "--" ends the flags.
func Parse(flags *flag.FlagSet, args []string) error {
	var rest []string
	for len(args) > 0 {
		arg := args[0]
		if arg == "--" {
			rest = append(rest, args[1:]...)
			break
		}
		if len(arg) < 2 || arg[0] != '-' {
			rest, args = append(rest, arg), args[1:]
			continue
		}
		n, words := 1, args[:1]
		if name, value, ok := attached(flags, arg); ok {
			words = []string{name, value}
		} else if takesNext(flags, arg) && len(args) > 1 {
			n, words = 2, args[:2]
		}
		if err := flags.Parse(words); err != nil {
			return err
		}
		args = args[n:]
	}
	return flags.Parse(append([]string{"--"}, rest...))
}

// takesNext reports whether the argument after a flag is the flag's value.
func takesNext(flags *flag.FlagSet, arg string) bool {
	name := strings.TrimPrefix(strings.TrimPrefix(arg, "-"), "-")
	known := flags.Lookup(name)
	if known == nil { // an unknown flag, or a flag with "=" and its value
		return false
	}
	isBool, ok := known.Value.(interface{ IsBoolFlag() bool })
	return !ok || !isBool.IsBoolFlag()
}

// attached divides a flag with one letter and an attached value, such as -j2.
// It reports false for other flags, and for letters that take no value.
func attached(flags *flag.FlagSet, arg string) (name, value string, ok bool) {
	// The second byte of the text is the letter; an = belongs to package flag.
	if len(arg) < 3 || arg[1] == '-' || arg[2] == '=' || !takesNext(flags, arg[:2]) {
		return "", "", false
	}
	long, _, _ := strings.Cut(arg[1:], "=")
	if flags.Lookup(long) != nil || isHelp(long) {
		return "", "", false
	}
	return arg[:2], arg[2:], true
}

// isHelp reports whether a flag with this name is a request for help to
// package flag.
func isHelp(name string) bool { return name == "help" || name == "h" }
