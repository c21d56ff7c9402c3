package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"concert/cmd/concert/internal/cli"
)

// call runs a command line as main does.
func call(ctx context.Context, args ...string) (code int, out, errOut string) {
	var o, e bytes.Buffer
	code = run(ctx, args, &o, &e)
	return code, o.String(), e.String()
}

// TestHelp_Width: each help text must fit a terminal of 80 columns.
func TestHelp_Width(t *testing.T) {
	lines := []string{"help"}
	for _, c := range commands() {
		lines = append(lines, c.Name)
	}
	for _, name := range lines {
		code, out, errOut := call(t.Context(), name, "-h")
		if name == "help" {
			code, out, errOut = call(t.Context(), name)
		}
		if code != cli.ExitOK || errOut != "" {
			t.Errorf("%s -h: exit code %d, %s", name, code, errOut)
		}
		for line := range strings.Lines(out) {
			if line = strings.TrimSuffix(line, "\n"); len(line) > 80 {
				t.Errorf("%s -h: %d columns: %s", name, len(line), line)
			}
		}
	}
}

// TestCommands: the help of a command must have the line "Flags:" exactly if
// the command has flags.
func TestCommands(t *testing.T) {
	for _, c := range commands() {
		if lists := strings.Contains(c.Help, "\nFlags:\n"); lists != (c.Flags != nil) {
			t.Errorf("the help of %s lists flags: %t; want %t", c.Name, lists, !lists)
		}
	}
}
