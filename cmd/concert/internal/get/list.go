package get

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	encoding "golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"

	"concert/download"
)

const maxLine = 64 << 10

// decoded returns the text of a file as UTF-8. A byte order mark selects UTF-16
// or UTF-8, because the shell of Windows writes such files.
func decoded(r io.Reader) io.Reader {
	return transform.NewReader(r, encoding.BOMOverride(transform.Nop))
}

// parseList reads a list: lines of text (see parseLine), or JSON (see
// parseJSON). It ignores empty lines and comments, which begin with # at the
// beginning of a line or after a space.
func parseList(r io.Reader, source string) ([]*wanted, error) {
	in := bufio.NewReaderSize(decoded(r), maxLine)
	if isJSON(in) {
		return parseJSON(in, source)
	}
	var list []*wanted
	lines := newLines(in)
	for lines.Scan() {
		w := &wanted{source: source, line: int32(lines.number)}
		fields, err := splitFields(lines.Text())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", w.where(), err)
		}
		if len(fields) == 0 {
			continue
		}
		if err := w.parseLine(fields); err != nil {
			return nil, fmt.Errorf("%s: %w", w.where(), trimmed{err})
		}
		list = append(list, w)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s:%d: %w", source, lines.number+1, err)
	}
	return list, nil
}

// parseLine sets w from the fields of a line. There are two forms:
//
//	URL [MIRROR...] [name=NAME] [sha256=HEX]
//	HEX URL
//
// A name with spaces is in double quotes. The second form is the format of
// sha256sum, where a "*" may precede the URL.
func (w *wanted) parseLine(fields []string) error {
	if len(fields) > 1 && isHex(fields[0]) {
		d, err := download.ParseDigest(fields[0])
		if err != nil {
			return err
		}
		if err := w.addDigest(d); err != nil {
			return err
		}
		fields = fields[1:]
		fields[0] = strings.TrimPrefix(fields[0], "*")
		if !isURL(fields[0]) {
			return fmt.Errorf("%s is not an http or https URL; a file with checksums of names is for --checksums", safeText(fields[0]))
		}
	}
	w.url = fields[0]
	for _, f := range fields[1:] {
		if isURL(f) {
			w.addMirror(f)
			continue
		}
		known, err := w.setAttribute(f)
		if err != nil {
			return err
		}
		if !known {
			return fmt.Errorf("%s is neither name=NAME, sha256=HEX nor the URL of a mirror (a space in a URL is %%20; a name with spaces is in double quotes)", safeText(f))
		}
	}
	return nil
}

// splitFields splits a line at spaces. It ends at a field that begins with #.
// A field, or the value after the first = of a field, may be in double quotes.
// In the quotes, \" is a quote and \\ is a backslash.
func splitFields(line string) (fields []string, err error) {
	for {
		line = strings.TrimLeftFunc(line, unicode.IsSpace)
		if line == "" || line[0] == '#' {
			return fields, nil
		}
		end := strings.IndexFunc(line, unicode.IsSpace)
		if end < 0 {
			end = len(line)
		}
		quote := 0
		if line[0] != '"' {
			quote = strings.Index(line[:end], `="`) + 1
			if quote == 0 || strings.Contains(line[:quote], "://") {
				fields, line = append(fields, line[:end]), line[end:]
				continue
			}
		}
		value, rest, ok := cutQuoted(line[quote:])
		if !ok {
			return nil, errors.New("a double quote is not closed")
		}
		if next, _ := utf8.DecodeRuneInString(rest); rest != "" && !unicode.IsSpace(next) {
			return nil, errors.New("a double quote is followed by text without a space between them")
		}
		fields, line = append(fields, line[:quote]+value), rest
	}
}

// isURL reports whether a field begins like an http or https URL.
func isURL(s string) bool {
	scheme, _, found := strings.Cut(s, "://")
	return found && (strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https"))
}

// isHex reports whether a field has only hexadecimal digits, and enough of them
// for a checksum.
func isHex(s string) bool {
	return len(s) >= 32 && strings.Trim(s, "0123456789abcdefABCDEF") == ""
}
