package get

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
)

// TestLines: a line must have the same text and number for all ways in which
// the text arrives.
func TestLines(t *testing.T) {
	for text, want := range map[string]string{
		"":                 "",
		"a":                "1:a ",
		"a\n":              "1:a ",
		"a\r":              "1:a ",
		"a\r\n":            "1:a ",
		"\r":               "1: ",
		"a\rb":             "1:a 2:b ",
		"a\r\nb\rc\nd":     "1:a 2:b 3:c 4:d ",
		"a\n\rb\r\r\nc":    "1:a 2: 3:b 4: 5:c ",
		"a\x00b":           "1:the line has a zero byte",
		"a\rb\x00\rc":      "1:a 2:the line has a zero byte",
		"a\nb\x00":         "1:a 2:the line has a zero byte",
		"a\n" + longLine(): "1:a 2:a line longer than",
	} {
		for _, oneByOne := range []bool{false, true} {
			l := newLines(strings.NewReader(text))
			if oneByOne && len(text) < maxLine {
				l = newLines(iotest.OneByteReader(strings.NewReader(text)))
			}
			var b strings.Builder
			for l.Scan() {
				fmt.Fprintf(&b, "%d:%s ", l.number, l.Text())
			}
			if err := l.Err(); err != nil {
				fmt.Fprintf(&b, "%d:%v", l.number+1, err)
			}
			if got := b.String(); got != want && !(strings.HasPrefix(got, want) && l.Err() != nil) {
				t.Errorf("lines of %.40q are %.200q, want %.200q (byte by byte: %v)", text, got, want, oneByOne)
			}
		}
	}
}

// longLine is a line that is too long.
func longLine() string { return strings.Repeat("x", maxLine+1) }

// TestReadChecksums_Lines: an error must have the right number of its line for
// all kinds of line ends.
func TestReadChecksums_Lines(t *testing.T) {
	for text, want := range map[string]string{
		sumA + "  a\r" + sumB + "  b\r":        "",
		sumA + "  a\r\n\r" + sumB + "  b\x00c": ":3: the line has a zero byte",
		sumA + "  a\r" + longLine():            ":2: a line longer than",
		sumA + "  a\r\nbad":                    ":2: ",
	} {
		file := filepath.Join(t.TempDir(), "sums")
		if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		c, err := readChecksums(file)
		if want == "" && (err != nil || len(c.byPath["a"]) != 1 || len(c.byPath["b"]) != 1) {
			t.Errorf("checksums of %.40q are %v, %v", text, c, err)
		}
		if want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("error of %.40q is %v, want %q", text, err, want)
		}
	}
}
