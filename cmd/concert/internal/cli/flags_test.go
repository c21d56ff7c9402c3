package cli

import (
	"errors"
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestParse_Errors: an error of the command line must name the flag as the help
// does, and must say what the value of the flag should be.
func TestParse_Errors(t *testing.T) {
	for _, row := range []struct {
		args []string
		want string
	}{
		{[]string{"--budget", "1"}, `--budget "1": want a time with its unit, as in 1s`},
		{[]string{"-budget=a \"b\""}, `--budget "a \"b\"": want a time with its unit, as in 30s or 2m`},
		{[]string{"-n", "two"}, `-n "two": want a whole number`},
		{[]string{"-n", "99999999999999999999"}, `-n "99999999999999999999": want a whole number`},
		{[]string{"--per-host", "1.5"}, `--per-host "1.5": want a whole number`},
		{[]string{"--quiet=maybe"}, `--quiet "maybe": want true or false`},
		{[]string{"--bugdet", "3s"}, `no flag --bugdet; did you mean --budget?`},
		{[]string{"-x"}, `no flag -x`},
		{[]string{"-n"}, `-n without a value`},
		{[]string{"--memory", "1X"}, `--memory "1X": want an amount of memory, as in 512M or 2G`},
	} {
		t.Run(row.want, func(t *testing.T) {
			flags := NewFlags()
			flags.Add(new(time.Second), "budget", "D", "")
			flags.Add(new(1), "n", "N", "")
			flags.Add(new(1), "per-host", "N", "")
			flags.Add(new(false), "quiet", "", "")
			flags.Add(&Memory{}, "memory", "SIZE", "")
			err := flags.Parse(row.args)
			if usage := (UsageError{}); !errors.As(err, &usage) || usage.Text != row.want {
				t.Errorf("Parse(%q) = %v, want %s", row.args, err, row.want)
			}
		})
	}
}

// TestParseAnywhere: flags must be accepted before, between and after the
// arguments, and "--" must end them.
func TestParseAnywhere(t *testing.T) {
	for _, row := range []struct{ args, rest, n, text, quiet string }{
		{"a -n 2 b", "a b", "2", "", "false"},
		{"-n 2 a --quiet", "a", "2", "", "true"},
		{"a --quiet b -t x -t=y", "a b", "1", "x y", "true"},
		{"a -- -n 2", "a -n 2", "1", "", "false"},
		{"-t -- a", "a", "1", "--", "false"},
		{"- a -t -", "- a", "1", "-", "false"},
		{"-- --", "--", "1", "", "false"},
		{"--quiet=false a -n=3", "a", "3", "", "false"},
	} {
		t.Run(row.args, func(t *testing.T) {
			n, quiet := 1, false
			var texts Texts
			flags := NewFlags()
			flags.Add(&n, "n", "N", "")
			flags.Add(&texts, "t", "TEXT", "")
			flags.Add(&quiet, "quiet", "", "")
			err := flags.ParseAnywhere(strings.Fields(row.args))
			got := [4]string{strings.Join(flags.Args(), " "), fmt.Sprint(n), texts.String(), fmt.Sprint(quiet)}
			if err != nil || got != [4]string{row.rest, row.n, row.text, row.quiet} {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	for args, want := range map[string]string{"a -n": "-n without a value", "a -y b": "no flag -y", "a -n b": `-n "b": want a whole number`} {
		flags := NewFlags()
		flags.Add(new(1), "n", "N", "")
		if err := flags.ParseAnywhere(strings.Fields(args)); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", args, err, want)
		}
	}
	if err := NewFlags().ParseAnywhere([]string{"a", "-h"}); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("a -h: %v", err)
	}
}

// TestFlags_Groups: the help must have a heading above each group.
func TestFlags_Groups(t *testing.T) {
	flags := NewFlags()
	flags.Group("First")
	flags.Add(new(false), "a", "", "one")
	flags.Add(new(false), "b", "", "two")
	flags.Group("Second")
	flags.Add(new(Texts), "c", "X", "three")
	if got, want := flags.help(), "\nFirst:\n  -a    one\n  -b    two\n\nSecond:\n  -c X  three\n"; got != want {
		t.Errorf("help is %q, want %q", got, want)
	}
}
