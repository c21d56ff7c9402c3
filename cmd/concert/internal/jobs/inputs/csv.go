package inputs

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
)

// csvRecords reads the records of a CSV file with a header.
type csvRecords struct {
	in     *csv.Reader
	limit  *limitedReader
	source string
	header []string
	line   int // the line in which the last field begins
}

// newCSV reads the header.
func newCSV(in *bufio.Reader, source string) (*csvRecords, error) {
	if mark, _ := in.Peek(len(byteOrderMark)); string(mark) == byteOrderMark {
		in.Discard(len(mark))
	}
	limit := &limitedReader{in: in}
	c := &csvRecords{in: csv.NewReader(limit), limit: limit, source: source}
	if strings.HasSuffix(source, ".tsv") {
		c.in.Comma = '\t'
	}
	header, err := c.next()
	if err == io.EOF {
		return nil, at(source, 1, errors.New("no header: the first line must have the names of the columns"))
	}
	if err != nil {
		return nil, err
	}
	c.header = header
	return c, nil
}

// next implements records.
func (c *csvRecords) next() ([]string, error) {
	c.limit.left = maxRecord
	record, err := c.in.Read()
	if err == nil {
		for i, v := range record {
			line, _ := c.in.FieldPos(i)
			if strings.IndexByte(v, 0) >= 0 {
				return nil, at(c.source, line, errZero)
			}
			c.line = line
		}
		return record, nil
	}
	if err == io.EOF {
		return nil, err
	}
	var syntax *csv.ParseError
	switch {
	case !errors.As(err, &syntax):
		return nil, fmt.Errorf("%s, after line %d: %w", c.source, c.line, err)
	case errors.Is(err, csv.ErrFieldCount):
		err = fmt.Errorf("%d fields, but the header has %d", len(record), len(c.header))
	case errors.Is(err, csv.ErrBareQuote):
		err = errors.New(`a quote inside a field: put the field in quotes, and write "" for the quote`)
	case errors.Is(err, csv.ErrQuote) && syntax.StartLine != syntax.Line:
		err = fmt.Errorf("a quote that is not closed correctly until line %d", syntax.Line)
	case errors.Is(err, csv.ErrQuote):
		err = errors.New("a quote that is not closed, or with text after it")
	default:
		err = syntax.Err
	}
	return nil, at(c.source, syntax.StartLine, err)
}

// limitedReader returns an error if a record is too large. Without the limit,
// an unclosed quote would make the rest of the file one record in memory.
type limitedReader struct {
	in   io.Reader
	left int
}

// Read implements io.Reader.
func (l *limitedReader) Read(b []byte) (int, error) {
	if l.left <= 0 {
		return 0, fmt.Errorf("a record longer than %d bytes: is a quote not closed?", maxRecord)
	}
	n, err := l.in.Read(b)
	l.left -= n
	return n, err
}
