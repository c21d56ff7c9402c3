package resume

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"os"
)

// This file reads a journal when it is opened, and writes the headers of new
// files. A header is a line with the format of the file, its version, and an
// identifier that the journal and its data file have in common.

const (
	journalFormat = "concert journal"
	dataFormat    = "concert journal data"
	versionStart  = `","version":`
	idStart       = `1,"id":"` // the rest of a header of version 1, up to the identifier
	idSize        = 32
	// maxSearch is the number of bytes in which an intact record must be found
	// if the header is damaged. Otherwise the file is not a journal.
	maxSearch = 1 << 20
)

// headerStart returns the part of a header that is the same for all files of a
// format.
func headerStart(format string) []byte { return []byte(`{"format":"` + format + versionStart) }

func header(format, id string) []byte {
	return appendSum(append(headerStart(format), idStart+id+`"`...), 0)
}

// parseHeader returns the identifier of a header without its line feed. If the
// line is no header, or a damaged one, ok is false. The error reports a version
// that this package does not know.
func parseHeader(line []byte, format string) (id string, ok bool, err error) {
	b, ok := checkSum(line)
	if !ok {
		return "", false, nil
	}
	b, ok = bytes.CutPrefix(b, headerStart(format))
	if !ok {
		return "", false, nil
	}
	b, ok = bytes.CutPrefix(b, []byte(idStart))
	if !ok || len(b) != idSize+1 {
		return "", false, &openError{ErrNotJournal, "a newer version of concert has written it, and it was not changed: use that version"}
	}
	return string(b[:idSize]), true, nil
}

// errForeign is the error for a file that is not a journal.
var errForeign = &openError{ErrNotJournal, "it is not a journal, and was not changed: use another file"}

func newID() string {
	var b [idSize / 2]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// isUnwritten reports whether a file has no header yet, because the process or
// the machine stopped before it was written. The argument start is the
// beginning of the file.
func isUnwritten(start []byte, size int64, format string) bool {
	fixed := headerStart(format)
	if size > int64(len(header(format, newID()))) {
		return false
	}
	n := min(len(start), len(fixed))
	return len(bytes.Trim(start, "\x00")) == 0 || bytes.Equal(start[:n], fixed[:n]) && bytes.IndexByte(start, '\n') < 0
}

// writeHeader makes a new file that has only a header. The content of the file
// is durable when it returns.
func writeHeader(f *os.File, h []byte) error {
	err := f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt(h, 0)
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		f.Truncate(0)
		return fmt.Errorf("write the header: %w", withoutPath(err))
	}
	return nil
}

// load reads the whole journal, and fills the index. If the file is new, load
// writes the header. It returns the identifier of the journal, or "" if the
// header is damaged.
func (j *Journal) load(dataPath string) (id string, err error) {
	info, err := j.file.Stat()
	if err != nil {
		return "", err
	}
	size := info.Size()
	start := make([]byte, min(size, 1<<10))
	if _, err := j.file.ReadAt(start, 0); err != nil && err != io.EOF {
		return "", err
	}
	if isUnwritten(start, size, journalFormat) {
		id := newID()
		h := header(journalFormat, id)
		j.end, j.durable = int64(len(h)), int64(len(h))
		return id, writeHeader(j.file, h)
	}
	l := loader{j: j}
	if info, err := os.Stat(dataPath); err == nil {
		l.dataSize = info.Size()
	}
	if err := l.read(io.NewSectionReader(j.file, 0, size)); err != nil {
		return "", err
	}
	j.end, j.durable, j.torn = l.end, l.end, l.end < size
	if j.torn {
		j.damaged++
	}
	return l.id, nil
}

// loader is the state of load.
type loader struct {
	j   *Journal
	id  string
	end int64 // the offset behind the last line feed
	// dataSize is the size of the data file. It is 0 if there is no such file.
	dataSize int64
	// proven is true when the file is certainly a journal.
	proven bool
}

// read reads all lines.
func (l *loader) read(r io.Reader) error {
	in := bufio.NewReaderSize(r, 256<<10)
	var long []byte // the beginning of a line that is longer than the buffer
	for offset := int64(0); ; {
		b, err := in.ReadSlice('\n')
		offset += int64(len(b))
		if err == bufio.ErrBufferFull || err == nil && long != nil {
			if len(long) <= maxLine { // a longer line is damaged for certain
				long = append(long, b...)
			}
			b = long
		}
		if !l.proven && offset > maxSearch || err == io.EOF && !l.proven {
			return errForeign
		}
		switch err {
		case nil:
			if err := l.line(l.end, b[:len(b)-1]); err != nil {
				return err
			}
			l.end = offset
			long = nil
		case bufio.ErrBufferFull:
		case io.EOF:
			return nil
		default:
			return err
		}
	}
}

// line handles the line at an offset.
func (l *loader) line(offset int64, b []byte) error {
	if offset == 0 {
		id, ok, err := parseHeader(b, journalFormat)
		if ok || err != nil {
			l.id, l.proven = id, true
			return err
		}
	}
	r, err := parseLine(b)
	if err != nil {
		l.j.damaged++
		return nil
	}
	l.proven = true
	for _, p := range r.data {
		if p.inline != nil {
			continue
		}
		l.j.data.used = true
		if !p.place.within(l.dataSize) {
			l.j.damaged++
			return nil
		}
	}
	l.j.index.lines[r.key] = offset
	return nil
}
