// Package buildinfo reports the version of a binary of the project, and the
// modules from which it was built. [Line] returns the version. [WriteLicenses]
// prints the modules and their licenses.
//
// The licenses are in the file notices.txt, for all commands and systems. A
// binary prints only the licenses of the modules in its build information. If
// the file has no license of a module, WriteLicenses and a test fail. The
// command go test ./internal/buildinfo -update writes the file.
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

// version returns the stamped version. If there is none, it returns the
// version that the go command has recorded: a tag, a pseudo-version, or only
// the commit. It may be empty.
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
