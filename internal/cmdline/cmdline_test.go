package cmdline_test

import (
	"flag"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"concert/internal/cmdline"
)

func TestText(t *testing.T) {
	for args, want := range map[[2]string]string{
		{"-budget", "1"}:      `--budget "1": want a time with its unit, as in 1s`,
		{"-budget", "1.5"}:    `--budget "1.5": want a time with its unit, as in 1.5s`,
		{"-budget", "soon"}:   `--budget "soon": want a time with its unit, as in 30s or 2m`,
		{"-budget", "-1"}:     `--budget "-1": want a time with its unit, as in 30s or 2m`,
		{"-n", "many"}:        `-n "many": want a whole number`,
		{"-q=perhaps", ""}:    `-q "perhaps": want true or false`,
		{"-buget", "1s"}:      "no flag --buget; did you mean --budget?",
		{"-budgte", "1s"}:     "no flag --budgte; did you mean --budget?",
		{"-quick", "1s"}:      "no flag --quick",
		{"-x", ""}:            "no flag -x",
		{"-q", "-budget"}:     "--budget without a value",
		{"-budget=0x1p3", ""}: `--budget "0x1p3": want a time with its unit, as in 30s or 2m`,
	} {
		flags := flag.NewFlagSet("", flag.ContinueOnError)
		flags.SetOutput(io.Discard)
		flags.Duration("budget", time.Second, "")
		flags.Int("n", 0, "")
		flags.Bool("q", false, "")
		err := flags.Parse(args[:])
		if err == nil {
			t.Errorf("%v: no error", args)
		} else if got := cmdline.Text(flags, err); got != want {
			t.Errorf("%v: %s; want %s", args, got, want)
		}
	}
}

func TestNearest(t *testing.T) {
	names := []string{"choose", "get", "map", "status", "tour", "version", "worker"}
	for name, want := range map[string]string{
		"gte": "get", "gets": "get", "mpa": "map", "chose": "choose", "chooes": "choose", "stats": "status", "statsu": "status",
		"": "", "g": "", "run": "", "download": "", "xyz": "", "wroker": "worker", "vresoin": "version",
	} {
		if got := cmdline.Nearest(name, names); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestParse_Attached(t *testing.T) {
	for args, want := range map[string]string{
		"-n2 a -b":     "2 false [a -b]",
		"-n 2 a":       "2 false [a]",
		"-n=2 a":       "2 false [a]",
		"-q -n-2 a":    "-2 true [a]",
		"-number 3 a":  "0 false [a]",
		"-n1 -- -n2 a": "1 false [-n2 a]",
		"-n1 - -n2":    "1 false [- -n2]",
		"-qn2 a":       "flag provided but not defined: -qn2",
		"-x2 a":        "flag provided but not defined: -x2",
		"--n2 a":       "flag provided but not defined: -n2",
		"-nx a":        `invalid value "x" for flag -n: parse error`,
		"-help":        "flag: help requested",
	} {
		flags := flag.NewFlagSet("", flag.ContinueOnError)
		flags.SetOutput(io.Discard)
		n, q := flags.Int("n", 0, ""), flags.Bool("q", false, "")
		flags.Int("number", 0, "")
		flags.Int("h", 0, "")
		err := cmdline.ParseFirst(flags, strings.Fields(args))
		got := fmt.Sprint(*n, " ", *q, " ", flags.Args())
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %s; want %s", args, got, want)
		}
	}
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	n := flags.Int("n", 0, "")
	if err := cmdline.Parse(flags, []string{"a", "-n2", "b"}); err != nil || *n != 2 || fmt.Sprint(flags.Args()) != "[a b]" {
		t.Errorf("Parse: %v, -n %d, %q", err, *n, flags.Args())
	}
}
