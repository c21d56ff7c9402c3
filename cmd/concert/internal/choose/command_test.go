//go:build unix

package choose

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// TestXargs_RunsInShell: if a shell runs the recommended line, it must run the
// same command as choose.
func TestXargs_RunsInShell(t *testing.T) {
	command := []string{"printf", "%s\n", "a{1..3}", "{x,y}", "it's", "$HOME", "`true`", "a b", "", "~", "*", "{}", "pre{}.txt", "\\"}
	line := strings.Replace(xargs(command, 2), "< inputs", "", 1)
	for _, shell := range []string{"bash", "sh"} {
		t.Run(shell, func(t *testing.T) {
			cmd := exec.Command(shell, "-c", line)
			cmd.Stdin = strings.NewReader("in put\n")
			got, err := cmd.CombinedOutput()
			want := strings.Join(fill(command, "in put")[2:], "\n") + "\n"
			if err != nil || string(got) != want {
				t.Errorf("%s: %v\n%s\ngives %q, want %q", shell, err, line, got, fmt.Sprint(want))
			}
		})
	}
}
