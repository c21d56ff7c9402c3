package processes

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// printable returns text of a worker as it may be shown on a terminal: what would tell the
// terminal to do something, or change the order in which it shows the text, is escaped
// as in Go's source, \x1b say. So are bytes that are not UTF-8. Tabs and ends of lines stay, and
// the end of a line on Windows becomes a plain one.
func printable(text string) string {
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

// isUnsafe reports whether printable may have to escape a character.
func isUnsafe(r rune) bool {
	switch {
	case r == '\n' || r == '\t':
		return false
	case r < utf8.RuneSelf:
		return unicode.IsControl(r)
	}
	return r == utf8.RuneError || unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
}
