package processes

import (
	"path/filepath"
	"regexp"
	"strings"
)

// fatalPython is the beginning of what CPython's faulthandler writes when the
// interpreter dies.
const fatalPython = "Fatal Python error: "

var pythonFrame = regexp.MustCompile(`^  File "(.*)", line (\d+) in (.*)$`)

// pythonCrash returns where in Python an interpreter died, and why, from what
// faulthandler has written: "in f (mod.py:12)". It returns "" for anything
// else. It does not repeat the signal.
func pythonCrash(stderr string) string {
	lines := strings.Split(stderr, "\n")
	if !strings.HasPrefix(lines[0], fatalPython) {
		return ""
	}
	var b strings.Builder
	place, within := "", ""
	for _, line := range lines[1:] {
		m := pythonFrame.FindStringSubmatch(line)
		if m == nil {
			if place != "" {
				break // frames of other threads follow
			}
			continue
		}
		if strings.HasPrefix(m[1], "<concert.") {
			break // frames of the worker itself, and their callers
		}
		here := m[3] + " (" + filepath.Base(m[1]) + ":" + m[2] + ")"
		if place == "" {
			within = here
		}
		if place = here; !inStandardLibrary(m[1]) {
			break
		}
	}
	if place != "" {
		b.WriteString("in " + place)
		if within != place {
			b.WriteString(", calling " + within)
		}
	}
	switch what := strings.TrimPrefix(lines[0], fatalPython); what {
	case "Segmentation fault", "Aborted", "Bus error", "Illegal instruction", "Floating point exception", "Floating-point exception":
	default:
		if b.Len() > 0 {
			b.WriteString(": ")
		}
		b.WriteString(what)
	}
	return b.String()
}

// inStandardLibrary reports whether a file belongs to Python.
func inStandardLibrary(path string) bool {
	path = filepath.ToSlash(path)
	return (strings.Contains(path, "/lib/python3") || strings.HasPrefix(path, "<frozen ")) &&
		!strings.Contains(path, "/site-packages/") && !strings.Contains(path, "/dist-packages/")
}
