package cli

import (
	"errors"
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
		{[]string{"--budget", "1"}, `--budget "1": want a time with its unit, as in 30s or 2m`},
		{[]string{"-budget=a \"b\""}, `--budget "a \"b\"": want a time with its unit, as in 30s or 2m`},
		{[]string{"-n", "two"}, `-n "two": want a whole number`},
		{[]string{"-n", "99999999999999999999"}, `-n "99999999999999999999": want a whole number`},
		{[]string{"--per-host", "1.5"}, `--per-host "1.5": want a whole number`},
		{[]string{"--quiet=maybe"}, `--quiet "maybe": want true or false`},
		{[]string{"--bugdet", "3s"}, `no flag --bugdet`},
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

// TestFlags_Summary: a summary must not end within parentheses.
func TestFlags_Summary(t *testing.T) {
	for about, want := range map[string]string{
		"key file of a client":                    "key file of a client",
		"number of files, 1 to 1000 (default 16)": "number of files",
		"number of runs (default 10000, or less)": "number of runs",
	} {
		if got := (declared{about: about}).summary(); got != want {
			t.Errorf("summary of %q = %q, want %q", about, got, want)
		}
	}
}
