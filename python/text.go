package python

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"
)

// A Go string consists of bytes, and a str of Python consists of code
// points. UTF-8 converts between them. A Go string may have bytes that are
// not UTF-8, such as the name of a file in Latin-1. Python represents such
// bytes, 0x80 to 0xFF, by the lone surrogates U+DC80 to U+DCFF (PEP 383, the
// error handler surrogateescape of os.fsdecode). So exactly one str
// corresponds to each Go string. In marshal data, a surrogate has three
// bytes, in the same way as the error handler surrogatepass encodes it.
//
//	Go       "caf\xe9"
//	Python   "caf\udce9"
//	marshal  "caf\xed\xb3\xa9"
//
// Any other str with surrogates is an error. No bytes correspond to
// surrogates outside of the range U+DC80 to U+DCFF. The bytes of adjacent
// surrogates may together be UTF-8. Python would make a different str from
// such bytes.

// appendEscaped appends a Go string in the form of marshal data.
func appendEscaped(b []byte, s string) []byte {
	for i, r := range s {
		if r != utf8.RuneError || strings.HasPrefix(s[i:], "\uFFFD") {
			b = utf8.AppendRune(b, r)
			continue
		}
		b = append(b, 0xed, 0xb0|s[i]>>6, 0x80|s[i]&0x3f)
	}
	return b
}

func appendString(b []byte, s string) ([]byte, error) {
	if utf8.ValidString(s) {
		b, err := appendHead(b, 'u', len(s))
		return append(b, s...), err
	}
	escaped := appendEscaped(nil, s)
	b, err := appendHead(b, 'u', len(escaped))
	return append(b, escaped...), err
}

// unescape is the reverse of appendEscaped. It returns false if no Go string
// corresponds to the str.
func unescape(b []byte) (string, bool) {
	if utf8.Valid(b) {
		return string(b), true
	}
	s := make([]byte, 0, len(b))
	for rest := b; len(rest) > 0; {
		if _, size := utf8.DecodeRune(rest); size > 1 || rest[0] < utf8.RuneSelf {
			s, rest = append(s, rest[:size]...), rest[size:]
			continue
		}
		if len(rest) < 3 {
			return "", false
		}
		s, rest = append(s, rest[1]<<6|rest[2]&0x3f), rest[3:] // a surrogate
	}
	text := string(s)
	return text, string(appendEscaped(nil, text)) == string(b)
}

// quotePython quotes the text of a str for errors, with its surrogates as
// Python writes them.
func quotePython(b []byte) string {
	b = shorten(b)
	var q strings.Builder
	q.WriteByte('"')
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		if r == utf8.RuneError && size == 1 && len(b) > 2 && b[0] == 0xed {
			fmt.Fprintf(&q, `\u%04x`, 0xd000|int(b[1]&0x3f)<<6|int(b[2]&0x3f))
			b = b[3:]
			continue
		}
		quoted := fmt.Sprintf("%+q", b[:size])
		q.WriteString(quoted[1 : len(quoted)-1])
		b = b[size:]
	}
	q.WriteByte('"')
	return q.String()
}

func (d *decoder) decodeString(to reflect.Value) error {
	b, err := d.sized()
	if err != nil {
		return err
	}
	text, ok := unescape(b)
	if !ok {
		return fail("a str with surrogates that os.fsdecode does not make, %s, cannot be a Go string: return bytes", quotePython(b))
	}
	if d.json && !utf8.ValidString(text) {
		return fail("a str with surrogates, %s, cannot be JSON", quotePython(b))
	}
	if c := infoOf(to.Type()).class; c == textClass || c == timeClass {
		return unmarshalText(to, []byte(text))
	}
	if to.Kind() != reflect.String || infoOf(to.Type()).class != byKind {
		return &valueError{err: &mismatchError{kind: aStr, what: "a str", text: quotePython(b), to: to.Type()}}
	}
	to.SetString(text)
	return nil
}

func shorten(b []byte) []byte {
	if len(b) > 60 {
		return append(slices.Clone(b[:60]), "..."...)
	}
	return b
}

// unmarshalText decodes the text b into a variable whose type has
// UnmarshalText. The method UnmarshalText may change b.
func unmarshalText(to reflect.Value, b []byte) error {
	if err := to.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText(b); err != nil {
		return fail("the str %q does not fit into a Go %s: %w", shorten(b), to.Type(), err)
	}
	return nil
}

// encodeMarshaled encodes the text that MarshalText returns.
func (e *encoder) encodeMarshaled(v encoding.TextMarshaler) error {
	text, err := v.MarshalText()
	if err != nil {
		return &valueError{err: err}
	}
	return e.text(string(text))
}
