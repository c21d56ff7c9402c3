package main

import (
	"io"
	"os"

	"concert/progress"
)

// style decorates text for a terminal, and leaves it alone elsewhere.
type style struct{ on bool }

// styleFor turns decoration on for a terminal, unless NO_COLOR is set (see
// no-color.org) or the terminal is dumb.
func styleFor(w io.Writer) style {
	return style{os.Getenv("NO_COLOR") == "" && progress.IsTerminal(w)}
}

func (s style) in(code, text string) string {
	if !s.on || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (s style) bold(text string) string { return s.in("1", text) }
func (s style) dim(text string) string  { return s.in("2", text) }
func (s style) good(text string) string { return s.in("32", text) }
