package resume

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"os"
)

// An Entry is a record in the journal.
type Entry struct {
	// OK is the argument ok of Append.
	OK bool
	// Info is the argument info of Append in JSON, or nil.
	Info json.RawMessage

	j    *Journal
	data []part
}

// Find returns the last record with this key. It reports false if there is
// none, or if its line or the length of the data file has been damaged since
// Open. Find does not read data in the data file: see [Entry.Check].
func (j *Journal) Find(k Key) (Entry, bool) {
	offset, ok := j.index.find(k)
	if !ok {
		return Entry{}, false
	}
	line, err := readLine(j.file, offset)
	if err != nil {
		return Entry{}, false
	}
	r, err := parseLine(line)
	if err != nil || r.key != k {
		return Entry{}, false
	}
	for _, p := range r.data {
		if p.inline != nil {
			continue
		}
		if _, size := j.data.get(); !p.place.within(size) {
			return Entry{}, false
		}
	}
	return Entry{OK: r.ok, Info: r.info, j: j, data: r.data}, true
}

// readLine returns the line at the offset, without its line feed.
func readLine(f *os.File, offset int64) ([]byte, error) {
	line := make([]byte, 512)
	for n := 0; ; {
		m, err := f.ReadAt(line[n:], offset+int64(n))
		if i := bytes.IndexByte(line[n:n+m], '\n'); i >= 0 {
			return line[:n+i], nil
		}
		n += m
		if err != nil {
			return nil, err
		} else if n > maxLine {
			return nil, errLine
		}
		line = append(line, make([]byte, 3*len(line))...)
	}
}

// Len returns the number of data that the record has.
func (e Entry) Len() int { return len(e.data) }

// Size returns the number of bytes of the data with index i.
func (e Entry) Size(i int) int64 {
	if p := e.data[i]; p.inline == nil {
		return p.place.length
	}
	return int64(len(e.data[i].inline))
}

// Data returns a reader of the data with index i. If the bytes in the file are
// damaged, the reader returns an error instead of io.EOF. At this point the
// caller has already received the bytes. To find damage before the first byte
// is used, call Check. The reader is usable until the journal is closed.
func (e Entry) Data(i int) io.Reader {
	p := e.data[i]
	if p.inline != nil {
		return bytes.NewReader(p.inline)
	}
	f, _ := e.j.data.get()
	return &dataReader{in: io.NewSectionReader(f, p.place.offset, p.place.length), place: p.place, path: e.j.data.path}
}

// Check reads all data, and returns an error if they are damaged. Call it
// before the record decides that a call does not run again.
func (e Entry) Check() error {
	for i := range e.data {
		if _, err := io.Copy(io.Discard, e.Data(i)); err != nil {
			return err
		}
	}
	return nil
}

// dataReader reads data of the data file, and compares their checksum at the
// end.
type dataReader struct {
	in   *io.SectionReader
	path string
	place
	read     int64
	computed uint32
}

// Read reads data. It returns io.EOF only if all data are intact.
func (r *dataReader) Read(b []byte) (n int, err error) {
	n, err = r.in.Read(b)
	r.computed = crc32.Update(r.computed, castagnoli, b[:n])
	r.read += int64(n)
	switch {
	case err == nil:
	case err != io.EOF:
		err = fmt.Errorf("resume: read %s: %w", r.path, withoutPath(err))
	case r.read != r.length || r.computed != r.sum:
		err = fmt.Errorf("resume: read %s: the data at offset %d are damaged: run the call again", r.path, r.offset)
	}
	return n, err
}
