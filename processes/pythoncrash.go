package processes

import (
	"path/filepath"
	"regexp"
	"strings"
)

// fatalPython is what CPython's faulthandler begins with, when the interpreter
// dies.
const fatalPython = "Fatal Python error: "

var pythonFrame = regexp.MustCompile(`^  File "(.*)", line (\d+) in (.*)$`)

// pythonCrash returns where in Python an interpreter died, and of what, by what
// faulthandler has written: "in f (mod.py:12)". It is "" for anything else.
// What is said of a signal already is not said again.
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
				break // another thread's follow
			}
			continue
		}
		if strings.HasPrefix(m[1], "<concert.") {
			break // the worker's own, and what called it
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
