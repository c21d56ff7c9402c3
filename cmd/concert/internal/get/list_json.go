package get

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"concert/download"
)

// jsonFile is an object of a JSON list.
type jsonFile struct {
	URL     string   `json:"url"`
	Mirrors []string `json:"mirrors"`
	Name    string   `json:"name"`
	SHA256  string   `json:"sha256"`
	Digest  string   `json:"digest"` // as in "sha512=HEX"
}

// isJSON reports whether a list is JSON: its first character that is not a
// space is a bracket or a brace. No URL begins with these characters.
func isJSON(in *bufio.Reader) bool {
	for n := 64; ; n *= 2 {
		b, err := in.Peek(min(n, maxLine))
		if text := bytes.TrimLeft(b, " \t\r\n"); len(text) > 0 {
			return text[0] == '[' || text[0] == '{'
		}
		if err != nil || n >= maxLine {
			return false
		}
	}
}

// parseJSON reads a list of objects: an array, or one object after another.
func parseJSON(in io.Reader, source string) ([]*wanted, error) {
	lines := &lineCounter{r: in}
	d := json.NewDecoder(lines)
	var list []*wanted
	fail := func(err error) error {
		w := &wanted{source: source, object: int32(len(list) + 1)}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			w.line = lines.at(lines.offset - 1)
			return fmt.Errorf("%s: the JSON ends too early", w.where())
		}
		w.line = lines.at(d.InputOffset())
		return fmt.Errorf("%s: %s", w.where(), strings.TrimPrefix(err.Error(), "json: "))
	}
	for inArray := false; ; {
		// More makes the decoder read the first character of the next value.
		more := d.More()
		if inArray && !more {
			if _, err := d.Token(); err != nil {
				return nil, fail(err)
			}
			inArray = false
			continue
		}
		if !more {
			if _, err := d.Token(); lines.err != nil || err != io.EOF {
				return nil, fail(cmp.Or(lines.err, err))
			}
			return list, nil
		}
		var raw json.RawMessage
		if !inArray && len(list) == 0 && lines.next(d) == '[' {
			if _, err := d.Token(); err != nil {
				return nil, fail(err)
			}
			inArray = true
			continue
		}
		if err := d.Decode(&raw); err != nil {
			return nil, fail(err)
		}
		w := &wanted{source: source, object: int32(len(list) + 1), line: lines.at(d.InputOffset() - int64(len(raw)))}
		if err := w.parseObject(raw); err != nil {
			return nil, fmt.Errorf("%s: %w", w.where(), trimmed{err})
		}
		list = append(list, w)
	}
}

// parseObject sets w from an object.
func (w *wanted) parseObject(raw json.RawMessage) error {
	var f jsonFile
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			err = fmt.Errorf("%q cannot be a %s", wrong.Field, wrong.Value)
			if wrong.Field == "" {
				err = fmt.Errorf("want an object, not a %s", wrong.Value)
			}
		}
		return errors.New(strings.TrimPrefix(err.Error(), "json: ") + `; an object has "url", and optionally "mirrors", "name", "sha256" and "digest"`)
	}
	if f.URL == "" {
		return errors.New(`the object has no "url"`)
	}
	w.url, w.name = f.URL, f.Name
	for _, m := range f.Mirrors {
		w.addMirror(m)
	}
	if f.SHA256 != "" {
		f.SHA256 = "sha256=" + f.SHA256
	}
	for _, text := range []string{f.SHA256, f.Digest} {
		if text == "" {
			continue
		}
		digest, err := download.ParseDigest(text)
		if err == nil {
			err = w.addDigest(digest)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// lineCounter is a reader that counts lines, so that it can return the line of
// an offset.
type lineCounter struct {
	r        io.Reader
	offset   int64   // the number of bytes that have been read
	newlines []int64 // the offsets of the newlines that the method at has not passed
	passed   int32   // the number of newlines that the method at has passed
	err      error   // the error of the reader, other than io.EOF
}

// Read reads, and records the newlines.
func (l *lineCounter) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	for i, c := range p[:n] {
		if c == '\n' {
			l.newlines = append(l.newlines, l.offset+int64(i))
		}
	}
	l.offset += int64(n)
	if err != nil && err != io.EOF {
		l.err = err
	}
	return n, err
}

// at returns the line of an offset. It removes the newlines before the offset,
// so the offset must not be smaller than in the last call.
func (l *lineCounter) at(offset int64) int32 {
	for len(l.newlines) > 0 && l.newlines[0] < offset {
		l.newlines = l.newlines[1:]
		l.passed++
	}
	return l.passed + 1
}

// next returns the first character of the next value. The decoder d has this
// character in its buffer.
func (l *lineCounter) next(d *json.Decoder) byte {
	buffered, err := io.ReadAll(d.Buffered())
	if err != nil {
		return 0
	}
	buffered = bytes.TrimLeft(buffered, " \t\r\n,")
	if len(buffered) == 0 {
		return 0
	}
	return buffered[0]
}
