// Package printable makes text from another program, such as a worker, safe to
// show on a terminal.
package printable

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Text makes a text safe for a terminal. It escapes characters that control
// the terminal, characters that change the order in which the terminal shows
// the text, and bytes that are not UTF-8. The escapes are as in Go's source:
// \x1b, for example. Tabs and newlines are not escaped, and "\r\n" becomes a
// newline.
func Text(text string) string {
	if strings.IndexFunc(text, isUnsafe) < 0 {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case !isUnsafe(r), r == utf8.RuneError && size > 1:
			b.WriteString(text[i : i+size])
		case r == '\r' && strings.HasPrefix(text[i+1:], "\n"):
		case r == '\r':
			b.WriteString(`\r`)
		case r == utf8.RuneError, r < utf8.RuneSelf:
			fmt.Fprintf(&b, `\x%02x`, text[i])
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		i += size
	}
	return b.String()
}

// isUnsafe reports whether Text may have to escape a character.
func isUnsafe(r rune) bool {
	switch {
	case r == '\n' || r == '\t':
		return false
	case r < utf8.RuneSelf:
		return unicode.IsControl(r)
	}
	return r == utf8.RuneError || unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
}
