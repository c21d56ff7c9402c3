package wire

import (
	"strings"
	"unicode"
)

// The headers of a dead letter.
const (
	ReasonHeader = "Concert-Reason" // why the task was abandoned
	WorkerHeader = "Concert-Worker" // the id of the worker that abandoned it
)

const maxTextBytes = 1100

// Printable returns a text of another program so that it can be shown in one
// line: it is cut, and characters that control terminals are replaced.
func Printable(text string) string {
	if len(text) > maxTextBytes {
		text = text[:maxTextBytes] + "..."
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}
