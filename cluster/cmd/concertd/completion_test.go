package main

import (
	"os/exec"
	"strings"
	"testing"

	"concert/internal/cmdline"
)

func TestCompletion(t *testing.T) {
	for _, shell := range cmdline.Shells {
		t.Run(shell, func(t *testing.T) {
			code, script, errOut := concertd(t, "completion", shell)
			if code != exitOK || errOut != "" || !strings.Contains(script, "join-advertise") {
				t.Fatalf("exit code %d, %s, %s", code, errOut, script)
			}
			if _, err := exec.LookPath(shell); err != nil {
				t.Skip(err)
			}
			cmd := exec.Command(shell, "-n")
			cmd.Stdin = strings.NewReader(script)
			if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
				t.Errorf("%s -n: %v, %s", shell, err, out)
			}
		})
	}
	if code, _, errOut := concertd(t, "completion", "csh"); code != exitUsage || !strings.Contains(errOut, "name one shell: bash, zsh or fish\n") {
		t.Errorf("csh: exit code %d, %s", code, errOut)
	}
}

// TestCompletion_Bash: bash must complete commands, flags, roles and
// directories.
func TestCompletion_Bash(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip(err)
	}
	_, script, _ := concertd(t, "completion", "bash")
	for words, want := range map[string]string{
		"ser":               "serve",
		"serve --join-":     "--join-listen --join-advertise",
		"serve --sy":        "--sync",
		"key --dir x cl":    "client",
		"completion b":      "bash",
		"serve --listen 12": "",
	} {
		cmd := exec.Command(bash, "-c", script+`
COMP_WORDS=(concertd "$@")
COMP_CWORD=$#
_concertd
echo "${COMPREPLY[*]}"`, "bash")
		cmd.Args = append(cmd.Args, strings.Fields(words)...)
		out, err := cmd.CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != want {
			t.Errorf("concertd %s is completed to %q, %v; want %q", words, got, err, want)
		}
	}
}

func TestManual(t *testing.T) {
	for args, want := range map[string]string{
		"help --man":         `concertd \- run a server`,
		"help serve --man":   `.SS Flags of a server that joins others`,
		"help --man key":     `.TH CONCERTD-KEY 1`,
		"help version --man": `\fB\-\-licenses\fR`,
	} {
		code, out, errOut := concertd(t, strings.Fields(args)...)
		if code != exitOK || errOut != "" || !strings.Contains(out, want) {
			t.Errorf("%s: exit code %d, %s, %s; want %s", args, code, errOut, out, want)
		}
	}
	if code, _, errOut := concertd(t, "help", "--man", "dance"); code != exitUsage || !strings.Contains(errOut, `no command "dance"`) {
		t.Errorf("exit code %d, %s", code, errOut)
	}
}
