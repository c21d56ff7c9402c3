package cmdline

import (
	"flag"
	"strings"
)

// Parse parses a command line with flags before, between and after the
// arguments. The argument "--" ends the flags. The errors are those of
// flags.Parse, such as flag.ErrHelp.
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
		n := 1
		if takesNext(flags, arg) && len(args) > 1 {
			n = 2
		}
		if err := flags.Parse(args[:n]); err != nil {
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
