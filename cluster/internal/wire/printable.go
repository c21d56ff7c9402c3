package wire

import (
	"strings"
	"unicode"
)

const maxTextBytes = 1100

// Printable returns a text of another program in a form that can be printed in
// one line: it cuts a long text, and replaces control characters.
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
