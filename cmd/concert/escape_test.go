package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"concert/cmd/concert/internal/cli"
	"concert/internal/pythontest"
)

// TestRun_Escapes: if the text of an error has control characters, the command
// must escape them, because the text can come from anywhere.
func TestRun_Escapes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "evil.py"), []byte("raise ValueError('\\x1b[31m\\x07\\x9b2J')\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"an exception of a module": {"worker", "--path", dir, "evil:f"},
		"the name of a function":   {"worker", "evil:\x1b[31m"},
		"the name of a flag":       {"status", "--\x1b[31m"},
		"an argument":              {"choose", "--\x1b[31m"},
	} {
		t.Run(name, func(t *testing.T) {
			if strings.HasPrefix(name, "an exception") {
				pythontest.Need(t)
			}
			code, _, errOut := call(t.Context(), args...)
			if code == cli.ExitOK || strings.ContainsAny(errOut, "\x1b\x07\u009b") || !strings.Contains(errOut, `\x1b[31m`) {
				t.Errorf("exit %d: %q", code, errOut)
			}
		})
	}
}
