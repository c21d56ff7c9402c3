package buildinfo

import (
	"runtime/debug"
	"strings"
	"testing"
)

func TestVersion(t *testing.T) {
	commit := debug.BuildSetting{Key: "vcs.revision", Value: "0123456789abcdef"}
	changed := debug.BuildSetting{Key: "vcs.modified", Value: "true"}
	unchanged := debug.BuildSetting{Key: "vcs.modified", Value: "false"}
	for _, row := range []struct {
		name, stamped, main string
		settings            []debug.BuildSetting
		want                string
	}{
		{"stamped", "v0.1.0", "v0.0.0-2026", []debug.BuildSetting{commit, changed}, "v0.1.0"},
		{"tag", "", "v0.1.0", []debug.BuildSetting{commit}, "v0.1.0"},
		{"commit", "", "(devel)", []debug.BuildSetting{commit, unchanged}, "(devel, commit 0123456789ab)"},
		{"changed", "", "", []debug.BuildSetting{commit, changed}, "(devel, commit 0123456789ab, with changes)"},
		{"nothing", "", "(devel)", nil, "(devel)"},
	} {
		t.Run(row.name, func(t *testing.T) {
			info := &debug.BuildInfo{Main: debug.Module{Version: row.main}, Settings: row.settings}
			if got := version(row.stamped, info); got != row.want {
				t.Errorf("version %q, want %q", got, row.want)
			}
		})
	}
	line, err := Line("it")
	if err != nil || !strings.HasPrefix(line, "it ") || !strings.Contains(line, ", go1.") {
		t.Errorf("Line returns %q, %v", line, err)
	}
}
