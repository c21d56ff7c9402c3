package main

import (
	"io"
	"os"
)

// style decorates text for a terminal, and leaves it alone elsewhere.
type style struct{ on bool }

// styleFor turns decoration on for a terminal, unless NO_COLOR is set (see
// no-color.org) or the terminal is dumb.
func styleFor(w io.Writer) style {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return style{}
	}
	info, err := f.Stat()
	return style{err == nil && info.Mode()&os.ModeCharDevice != 0 && info.Mode()&os.ModeDevice != 0}
}

func (s style) in(code, text string) string {
	if !s.on {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (s style) bold(text string) string { return s.in("1", text) }
func (s style) dim(text string) string  { return s.in("2", text) }
func (s style) good(text string) string { return s.in("32", text) }
