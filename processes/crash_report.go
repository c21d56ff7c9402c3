package processes

import (
	"bytes"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// A crash report is a text that the runtime of Go or Python writes when the
// process dies. It consists of a reason and a traceback.

// beginsCrashReport reports whether a line is the first line of a crash
// report.
func beginsCrashReport(line []byte) bool {
	for _, start := range []string{"panic: ", "fatal error: ", "unexpected fault address ", "runtime: out of memory", "runtime: goroutine stack exceeds ", fatalPython} {
		if bytes.HasPrefix(line, []byte(start)) {
			return true
		}
	}
	name, _, ok := bytes.Cut(line, []byte(": ")) // as in "SIGABRT: abort"
	return ok && bytes.HasPrefix(name, []byte("SIG")) && !bytes.ContainsAny(name, " \t")
}

// signals are the signals for which Go's runtime writes a traceback and exits.
var signals = map[string]syscall.Signal{
	"SIGABRT": syscall.SIGABRT, "SIGBUS": syscall.SIGBUS, "SIGFPE": syscall.SIGFPE, "SIGILL": syscall.SIGILL,
	"SIGQUIT": syscall.SIGQUIT, "SIGSEGV": syscall.SIGSEGV, "SIGTRAP": syscall.SIGTRAP,
}

// signalIn returns the signal that a traceback of Go's runtime names, or 0
// if it names none. For a panic it returns 0, even if a signal caused the
// panic, as for a nil pointer.
func signalIn(stderr string) syscall.Signal {
	first := true
	for line := range strings.Lines(stderr) {
		if first && (!beginsCrashReport([]byte(line)) || strings.HasPrefix(line, "panic: ")) {
			return 0
		}
		first = false
		if name, _, ok := strings.Cut(strings.TrimPrefix(line, "[signal "), ": "); ok && signals[name] != 0 {
			return signals[name]
		}
	}
	return 0
}

// outOfMemory reports whether the Go runtime (exit code 2) or the race detector
// (exit code 66) ended the process because it could not allocate memory.
func outOfMemory(code int, stderr string) bool {
	switch code {
	case 2:
		return strings.Contains(stderr, "out of memory") || strings.Contains(stderr, "cannot allocate memory")
	case 66:
		return strings.Contains(stderr, "ThreadSanitizer failed to allocate")
	}
	return false
}

// abortedForMemory reports whether a process aborted because it could not
// allocate memory. The C and C++ libraries and cgo write such a reason to
// standard error before they abort. cause is the line before the crash report
// of the Go or Python runtime; it is empty if there is no crash report.
func abortedForMemory(signal syscall.Signal, cause, stderr string) bool {
	return signal == syscall.SIGABRT && slices.ContainsFunc([]string{
		"out of memory", "cannot allocate memory", "Cannot allocate memory", "pthread_create failed", "std::bad_alloc",
	}, func(text string) bool { return strings.Contains(cause, text) || strings.Contains(stderr, text) })
}

// fatalPython is the beginning of the crash report that CPython's faulthandler
// writes.
const fatalPython = "Fatal Python error: "

var pythonFrame = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^  File "(.*)", line (\d+) in (.*)$`)
})

// pythonCrash returns the function and the line in which an interpreter
// died, as in "in f (mod.py:12)". If the reason of the death is not a
// signal, the result also has the reason. It returns "" if stderr is not a
// crash report of faulthandler.
func pythonCrash(stderr string) string {
	lines := strings.Split(stderr, "\n")
	if !strings.HasPrefix(lines[0], fatalPython) {
		return ""
	}
	var b strings.Builder
	place, within := "", ""
	for _, line := range lines[1:] {
		m := pythonFrame().FindStringSubmatch(line)
		if m == nil {
			if place != "" {
				break // the frames of other threads follow
			}
			continue
		}
		if strings.HasPrefix(m[1], "<concert.") {
			break // the frames that follow are the worker's own code, which called the function
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

// inStandardLibrary reports whether a file belongs to the standard library of
// Python.
func inStandardLibrary(path string) bool {
	path = filepath.ToSlash(path)
	return (strings.Contains(path, "/lib/python3") || strings.HasPrefix(path, "<frozen ")) &&
		!strings.Contains(path, "/site-packages/") && !strings.Contains(path, "/dist-packages/")
}
