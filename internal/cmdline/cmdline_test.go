package cmdline_test

import (
	"flag"
	"io"
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
