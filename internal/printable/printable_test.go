package printable

import (
	"strings"
	"testing"
	"unicode"
)

func TestText_Escapes(t *testing.T) {
	for text, want := range map[string]string{
		"":                             "",
		"plain\ttext\n":                "plain\ttext\n",
		"Größe 漢字 🙂 é":                 "Größe 漢字 🙂 é",
		"\x1b[2J\x1b[31mred\x1b[0m":    `\x1b[2J\x1b[31mred\x1b[0m`,
		"\x1b]0;title\a":               `\x1b]0;title\x07`,
		"10%\r20%":                     `10%\r20%`,
		"a line\r\nanother\r\n":        "a line\nanother\n",
		"\u009b2J":                     `\u009b2J`,
		"\x9b2J":                       `\x9b2J`,
		"\x7f\x00\b":                   `\x7f\x00\x08`,
		"\u202etxt.exe":                `\u202etxt.exe`,
		"\u2066x\u2069":                `\u2066x\u2069`,
		"one\u2028two":                 `one\u2028two`,
		"half \xe2\x82":                `half \xe2\x82`,
		"the replacement \ufffd stays": "the replacement \ufffd stays",
	} {
		if got := Text(text); got != want {
			t.Errorf("Text(%q) = %q, want %q", text, got, want)
		}
	}
	for r := range unicode.MaxRune + 1 {
		got := Text("<" + string(r) + ">")
		if strings.ContainsFunc(got, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }) {
			t.Errorf("Text of %U is %q", r, got)
		}
	}
}
