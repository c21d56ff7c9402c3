package get

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// lines reads the lines of a text, and counts them. A line ends with a line
// feed, a carriage return, or both.
type lines struct {
	*bufio.Scanner
	number int // the number of the last line that was read; the first line has number 1
}

func newLines(r io.Reader) *lines {
	l := &lines{Scanner: bufio.NewScanner(r)}
	l.Buffer(nil, maxLine)
	l.Split(splitLines)
	return l
}

// Scan reads the next line.
func (l *lines) Scan() bool {
	if !l.Scanner.Scan() {
		return false
	}
	l.number++
	return true
}

// Err returns the error of reading the next line, or nil if Scan returned
// false at the end of the text.
func (l *lines) Err() error {
	if err := l.Scanner.Err(); !errors.Is(err, bufio.ErrTooLong) {
		return err
	}
	return fmt.Errorf("a line longer than %d bytes: is this a text with one entry in each line?", maxLine)
}

// errZeroByte is the error of a line with a zero byte.
var errZeroByte = errors.New("the line has a zero byte: is this a text in UTF-8, or in UTF-16 with a byte order mark?")

// splitLines is the bufio.SplitFunc of lines.
func splitLines(data []byte, atEOF bool) (advance int, line []byte, err error) {
	end := bytes.IndexAny(data, "\r\n")
	switch {
	case end < 0:
		if !atEOF || len(data) == 0 {
			return 0, nil, nil
		}
		end, advance = len(data), len(data)
	case data[end] == '\n':
		advance = end + 1
	case end+1 < len(data) && data[end+1] == '\n':
		advance = end + 2
	case end+1 < len(data) || atEOF:
		advance = end + 1
	default:
		return 0, nil, nil // wait for the next byte, which may be a line feed
	}
	line = data[:end]
	if bytes.IndexByte(line, 0) >= 0 {
		return 0, nil, errZeroByte
	}
	return advance, line, nil
}
