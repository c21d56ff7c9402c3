package download

import (
	"strings"
	"testing"
)

func TestCheckName(t *testing.T) {
	for _, row := range []struct {
		name          string
		unix, windows bool // whether the name is permitted
	}{
		{"a.iso", true, true},
		{"my file.iso", true, true},
		{"日本.txt", true, true},
		{"aux.c", true, false},
		{"AUX", true, false},
		{"com1 .txt", true, false},
		{"a:b", true, false},
		{"a|b.txt", true, false},
		{"what?", true, false},
		{"v1.", true, false},
		{"", false, false},
		{".", false, false},
		{"..", false, false},
		{"...", false, false},
		{"a/b", false, false},
		{`a\b`, false, false},
		{"a\x00b", false, false},
		{"a\x1b[31m", false, false},
		{"a\u202eb", false, false},
		{"\xff", false, false},
		{" a", false, false},
		{"a ", false, false},
		{"a.part", false, false},
		{"a.part.json", false, false},
		{strings.Repeat("a", longestName), true, true},
		{strings.Repeat("a", longestName+1), false, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			if err := checkName(row.name, false); (err == nil) != row.unix {
				t.Errorf("on Unix: %v", err)
			}
			if err := checkName(row.name, true); (err == nil) != row.windows {
				t.Errorf("on Windows: %v", err)
			}
		})
	}
}
