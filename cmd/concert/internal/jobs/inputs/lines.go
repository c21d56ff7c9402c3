package inputs

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// lines reads one value from each line. It skips empty lines, the carriage
// return before a line feed, and a byte order mark at the beginning. If zero
// bytes end the lines, it changes nothing: the values are exactly the bytes
// between the zero bytes.
type lines struct {
	in     *bufio.Reader
	source string
	number int // the number of the last line; the first line has number 1
	end    byte
	long   []byte // a line that does not fit into the buffer of in
}

func newLines(in *bufio.Reader, source string, null bool) *lines {
	l := &lines{in: in, source: source, end: '\n'}
	if null {
		l.end = 0
	}
	return l
}

// next implements records.
func (l *lines) next() ([]string, error) {
	for {
		line, err := l.read()
		if err != nil {
			return nil, err
		}
		if l.end == 0 {
			return []string{string(line)}, nil
		}
		if l.number == 1 {
			line = bytes.TrimPrefix(line, []byte(byteOrderMark))
		}
		line = bytes.TrimSuffix(line, []byte("\r"))
		if len(line) == 0 {
			continue
		}
		if bytes.IndexByte(line, 0) >= 0 {
			return nil, at(l.source, l.number, fmt.Errorf("%w: use -0 if zero bytes separate the inputs; a text in UTF-16 must be converted to UTF-8", errZero))
		}
		return []string{string(line)}, nil
	}
}

// byteOrderMark is at the beginning of texts from Windows.
const byteOrderMark = "\ufeff"

// read returns the next line without its end. The line is valid until the next
// call.
func (l *lines) read() ([]byte, error) {
	l.number++
	l.long = l.long[:0]
	for {
		part, err := l.in.ReadSlice(l.end)
		if err == nil {
			part = part[:len(part)-1]
		}
		switch {
		case len(l.long)+len(part) > maxRecord:
			return nil, at(l.source, l.number, fmt.Errorf("longer than %d bytes: is this a file with one input in each line?", maxRecord))
		case errors.Is(err, bufio.ErrBufferFull):
			l.long = append(l.long, part...)
			continue
		case err != nil && err != io.EOF:
			return nil, at(l.source, l.number, err)
		case err == io.EOF && len(part)+len(l.long) == 0:
			return nil, io.EOF
		case len(l.long) == 0:
			return part, nil
		}
		l.long = append(l.long, part...)
		return l.long, nil
	}
}
