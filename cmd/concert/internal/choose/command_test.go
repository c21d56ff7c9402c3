//go:build unix

package choose

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"concert/cmd/concert/internal/cli"
	"concert/cmd/concert/internal/jobs"
	"concert/cmd/concert/internal/jobs/supervisor"
)

// TestMain makes the test binary usable as the command "concert map", which the
// recommended lines run.
func TestMain(m *testing.M) {
	supervisor.Main()
	if len(os.Args) > 1 && os.Args[1] == "map" {
		if err := jobs.Command.Run(context.Background(), os.Args[2:], os.Stdout, os.Stderr); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(cli.ExitFailed)
		}
		return
	}
	os.Exit(m.Run())
}

// TestMapLine_RunsInShell: if a shell runs the recommended line, it must run
// the same command as choose.
func TestMapLine_RunsInShell(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(self, filepath.Join(dir, "concert")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "inputs"), []byte("in/p ut.x\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	for name, command := range map[string][]string{
		"input":    {"a{1..3}", "{x,y}", "it's", "$HOME", "`true`", "a b", "", "~", "*", "{}", "pre{}.txt", "\\", "-j", "--", "=ls"},
		"appended": {"{print $1}", "a b"},
		"other":    {"{.}", "{1}", "@@", "{}", "{{}}"},
		"number":   {"{2}"},
	} {
		command = append([]string{"printf", "%s\n"}, command...)
		line := mapLine(command, 2)
		want := strings.Join(fill(command, "in/p ut.x")[2:], "\n") + "\n"
		for _, shell := range []string{"bash", "sh"} {
			t.Run(name+"/"+shell, func(t *testing.T) {
				cmd := exec.Command(shell, "-c", line)
				cmd.Dir, cmd.Env = dir, append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
				got, err := cmd.Output()
				if err != nil || string(got) != want {
					t.Errorf("%v\n%s\ngives %q, want %q", err, line, got, want)
				}
			})
		}
	}
}
