package cli

import (
	"io"
	"os"

	"concert/progress"
)

// Style decorates text for a terminal, and leaves it unchanged elsewhere.
type Style struct{ On bool }

// StyleFor returns the Style for text that goes to w: decoration is on for a
// terminal, unless NO_COLOR is set (see no-color.org) or the terminal is dumb.
func StyleFor(w io.Writer) Style {
	return Style{os.Getenv("NO_COLOR") == "" && progress.IsTerminal(w)}
}

// In decorates a text with a code of ANSI.
func (s Style) In(code, text string) string {
	if !s.On || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// Bold returns a bold text.
func (s Style) Bold(text string) string { return s.In("1", text) }

// Dim returns a text in a fainter color.
func (s Style) Dim(text string) string { return s.In("2", text) }

// Good returns a green text.
func (s Style) Good(text string) string { return s.In("32", text) }
