// Package buildinfo says what a binary of the project was built from. [Line]
// has its version. [WriteLicenses] prints the modules that are linked into the
// binary, and the licenses of these modules.
//
// The licenses are in the file notices.txt, for all commands and systems. A
// binary prints only the licenses of the modules in its build information. If a
// module has no license in the file, WriteLicenses fails, and so does the test
// that makes the file: go test ./internal/buildinfo -update writes it.
package buildinfo

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// stamped is the version that packaging/build sets by a flag of the linker. It
// is empty in other builds.
var stamped string

var errNone = errors.New("the binary has no build information")

// Line returns what "PROGRAM version" prints: the version of the binary, and of
// the Go release that built it.
func Line(program string) (string, error) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "", errNone
	}
	return fmt.Sprintf("%s %s, %s", program, version(stamped, info), info.GoVersion), nil
}

// version returns the version that was stamped, or else what the go command
// knows: a tag or a pseudo-version, or only the commit, or nothing.
func version(stamped string, info *debug.BuildInfo) string {
	const unknown = "(devel)"
	if stamped != "" {
		return stamped
	}
	if v := info.Main.Version; v != "" && v != unknown {
		return v
	}
	revision, changed := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = ", with changes"
		}
	}
	if revision == "" {
		return unknown
	}
	return fmt.Sprintf("(devel, commit %.12s%s)", revision, changed)
}
