package output

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"unicode/utf8"
)

// printJSON prints a job as one line of JSON. It reads the output twice: the
// name of a field depends on whether all of its bytes are UTF-8. The memory
// does not depend on the size of the output. If the output cannot be read, the
// line has a field output_error instead.
func (p *Printer) printJSON(it *item) (readErr, err error) {
	w, err := p.stream(0)
	if err != nil {
		return nil, err
	}
	isText := [2]bool{}
	for i := range it.out.parts {
		if isText[i], readErr = isUTF8(it.out.parts[i].reader(), p.buffer()); readErr != nil {
			break
		}
	}
	w.Write(it.head) // no check: a buffer returns its error again at the next write
	if readErr != nil {
		fmt.Fprintf(w, `,"output_error":"`)
		(&jsonWriter{w: w}).Write(bytes.ToValidUTF8([]byte(readErr.Error()), []byte("\ufffd")))
		_, err := w.WriteString("\"}\n")
		return readErr, err
	}
	for i, name := range []string{"stdout", "stderr"} {
		part := &it.out.parts[i]
		if isText[i] {
			fmt.Fprintf(w, `,"%s":"`, name)
			text := jsonWriter{w: w}
			readErr, err = part.copyTo(&text, it.out.store, p.buffer())
		} else {
			fmt.Fprintf(w, `,"%s_base64":"`, name)
			encoder := base64.NewEncoder(base64.StdEncoding, w)
			readErr, err = part.copyTo(encoder, it.out.store, p.buffer())
			encoder.Close()
		}
		if err != nil {
			return nil, err
		}
		if err := w.WriteByte('"'); readErr != nil || err != nil {
			w.WriteString("}\n")
			return readErr, err
		}
	}
	_, err = w.WriteString("}\n")
	return nil, err
}

// isUTF8 reports whether a text is UTF-8.
func isUTF8(r io.Reader, buf []byte) (bool, error) {
	for kept := 0; ; {
		n, err := r.Read(buf[kept:])
		data := buf[:kept+n]
		kept = incomplete(data)
		if !utf8.Valid(data[:len(data)-kept]) {
			return false, nil
		}
		kept = copy(buf, data[len(data)-kept:])
		if err == io.EOF {
			return kept == 0, nil
		}
		if err != nil {
			return false, err
		}
	}
}

// incomplete returns the number of bytes at the end that may be an incomplete
// character.
func incomplete(data []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(data); n++ {
		if tail := data[len(data)-n:]; utf8.RuneStart(tail[0]) {
			if !utf8.FullRune(tail) {
				return n
			}
			break
		}
	}
	return 0
}

// jsonWriter escapes text for a JSON string, without the quotes around it. The
// text must be UTF-8. A character may be divided between two calls.
type jsonWriter struct {
	w    io.Writer
	rest [utf8.UTFMax]byte // the first bytes of an incomplete character
	n    int               // the number of bytes in rest
}

func (j *jsonWriter) Write(data []byte) (int, error) {
	written := len(data)
	for j.n > 0 && len(data) > 0 {
		j.rest[j.n] = data[0]
		j.n++
		data = data[1:]
		if utf8.FullRune(j.rest[:j.n]) {
			if err := j.write(j.rest[:j.n]); err != nil {
				return 0, err
			}
			j.n = 0
		}
	}
	if n := incomplete(data); n > 0 {
		j.n = copy(j.rest[:], data[len(data)-n:])
		data = data[:len(data)-n]
	}
	return written, j.write(data)
}

// write writes complete characters.
func (j *jsonWriter) write(data []byte) error {
	begin := 0
	for i := 0; i < len(data); {
		size := 1
		var escape string
		if c := data[i]; c < utf8.RuneSelf {
			escape = escapes[c]
		} else {
			var r rune
			r, size = utf8.DecodeRune(data[i:])
			if r < 0xa0 || r == '\u2028' || r == '\u2029' {
				escape = fmt.Sprintf(`\u%04x`, r)
			}
		}
		if escape != "" {
			j.w.Write(data[begin:i])
			if _, err := io.WriteString(j.w, escape); err != nil {
				return err
			}
			begin = i + size
		}
		i += size
	}
	_, err := j.w.Write(data[begin:])
	return err
}

// escapes has the escapes of ASCII characters in JSON. These are the control
// characters, as in encoding/json, and also DEL. So a line of JSON is safe for
// a terminal.
var escapes = func() (e [utf8.RuneSelf]string) {
	for c := range byte(0x20) {
		e[c] = fmt.Sprintf(`\u%04x`, c)
	}
	e['\b'], e['\f'], e['\n'], e['\r'], e['\t'] = `\b`, `\f`, `\n`, `\r`, `\t`
	e['"'], e['\\'], e[0x7f] = `\"`, `\\`, `\u007f`
	return e
}()

// escapeControls escapes the control characters that encoding/json does not
// escape: DEL, and the control characters after ASCII.
func escapeControls(line []byte) []byte {
	isControl := func(r rune) bool { return r >= 0x7f && r < 0xa0 }
	if !bytes.ContainsFunc(line, isControl) {
		return line
	}
	var b bytes.Buffer
	for _, r := range string(line) {
		if isControl(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.Bytes()
}
