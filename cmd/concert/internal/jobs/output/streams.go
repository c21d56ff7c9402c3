package output

import (
	"bufio"
	"bytes"
	"io"
	"strings"

	"concert/internal/printable"
)

// streams are the two streams to which a Printer writes. Only one of them has
// buffered data at any time, so both can be the same terminal.
type streams struct {
	files [2]io.Writer
	bufs  [2]*bufio.Writer
	last  int // the index of the stream that may have buffered data
	copy  []byte
}

func newStreams(stdout, stderr io.Writer) streams {
	return streams{
		files: [2]io.Writer{stdout, stderr},
		bufs:  [2]*bufio.Writer{bufio.NewWriterSize(stdout, 64<<10), bufio.NewWriterSize(stderr, 4<<10)},
	}
}

// stream returns the buffer of stdout (0) or stderr (1). If the other stream
// was used last, it first flushes the buffer of the other stream.
func (s *streams) stream(i int) (*bufio.Writer, error) {
	if s.last != i {
		if err := s.flushStreams(); err != nil {
			return nil, err
		}
		s.last = i
	}
	return s.bufs[i], nil
}

func (s *streams) flushStreams() error { return s.bufs[s.last].Flush() }

// buffer returns the buffer for copies.
func (s *streams) buffer() []byte {
	if s.copy == nil {
		s.copy = make([]byte, 256<<10)
	}
	return s.copy
}

// tag returns the beginning of each line of a job: its inputs and a tab. Tabs,
// newlines and characters that control a terminal are escaped, so the tag
// always ends at the first tab.
func tag(inputs []string) []byte {
	text := printable.Text(strings.Join(inputs, " "))
	return append([]byte(lineEscapes.Replace(text)), '\t')
}

var lineEscapes = strings.NewReplacer("\n", `\n`, "\t", `\t`)

// tagWriter writes a tag before each line. If the tag is empty, it changes
// nothing.
type tagWriter struct {
	w      io.Writer
	tag    []byte
	inLine bool // whether the last line is incomplete
}

func (t *tagWriter) Write(data []byte) (int, error) {
	if t.tag == nil {
		return t.w.Write(data)
	}
	for rest := data; len(rest) > 0; {
		if !t.inLine {
			if _, err := t.w.Write(t.tag); err != nil {
				return 0, err
			}
		}
		n := bytes.IndexByte(rest, '\n') + 1
		if t.inLine = n == 0; t.inLine {
			n = len(rest)
		}
		if _, err := t.w.Write(rest[:n]); err != nil {
			return 0, err
		}
		rest = rest[n:]
	}
	return len(data), nil
}

// end completes the last line, if lines have tags.
func (t *tagWriter) end() error {
	if !t.inLine {
		return nil
	}
	t.inLine = false
	_, err := t.w.Write([]byte{'\n'})
	return err
}
