//go:build unix

package cli

import (
	"os/exec"
	"strings"
	"testing"
)

func TestCommandLine_QuotesWhatIsNeeded(t *testing.T) {
	for want, words := range map[string][]string{
		"":                           {},
		"gzip -k a.txt":              {"gzip", "-k", "a.txt"},
		"convert {} 'pre{}.png'":     {"convert", "{}", "pre{}.png"},
		"echo ''":                    {"echo", ""},
		`echo 'it'\''s'`:             {"echo", "it's"},
		"'A=b' A=b":                  {"A=b", "A=b"},
		"'time' time":                {"time", "time"},
		"ls '=ls' x=y":               {"ls", "=ls", "x=y"},
		"echo '~' '*' '$x' '#' 'ä' ": {"echo", "~", "*", "$x", "#", "ä", ""},
		"echo 'a\nb'":                {"echo", "a\nb"},
	} {
		if strings.HasSuffix(want, " ") {
			want += "''"
		}
		if got := CommandLine(words); got != want {
			t.Errorf("CommandLine(%q) = %s, want %s", words, got, want)
		}
	}
}

func TestCommandLine_RunsInShells(t *testing.T) {
	words := []string{"", "a b", "it's", `"`, `\`, `\\n`, "$(exit 3)", "`exit 3`", "a\nb\n", "-rf", "--", "%s", "{a,b}", "{}", "*", "~", "=ls", "!x",
		"#x", "a=b", "\xff\xfe", "\x1b[2J", "|&;<>()", "\t ", strings.Repeat("x", 100_000)}
	for _, shell := range []string{"sh", "bash", "zsh", "dash"} {
		if _, err := exec.LookPath(shell); err != nil {
			continue
		}
		t.Run(shell, func(t *testing.T) {
			run(t, shell, words)
		})
	}
}

func FuzzCommandLine(f *testing.F) {
	for _, word := range []string{"", "it's", "$(exit 3)", "a\nb\n", "\xff", "{}", "=ls"} {
		f.Add(word, "x")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if strings.Contains(a+b, "\x00") || len(a)+len(b) > 50_000 {
			t.Skip() // not possible in an argument
		}
		run(t, "sh", []string{a, b})
	})
}

// run compares what a shell passes to a program with the words.
func run(t *testing.T, shell string, words []string) {
	t.Helper()
	line := CommandLine(append([]string{"printf", `%s\0`}, words...))
	got, err := exec.Command(shell, "-c", line).CombinedOutput()
	if want := strings.Join(words, "\x00") + "\x00"; err != nil || string(got) != want {
		t.Errorf("%s: %v\n%.1000s\ngives %.1000q, want %.1000q", shell, err, line, got, want)
	}
}
