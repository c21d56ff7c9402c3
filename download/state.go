package download

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"concert/internal/filelock"
)

// state is the content of NAME.part.json, which describes the part. It has no
// URL, so it contains no secret. The file has one JSON object in each line. A
// line with a format describes the version of the file, and replaces all
// fields. Each further line replaces the fields that it has. A line that is
// incomplete, because power was lost or the disk was full, is ignored.
//
// The process that writes the part has a lock on the state file. Only the
// holder of the lock may change or remove the two files:
//
//  1. It opens the state file, and creates the file if it is missing.
//  2. It locks the file. Another holder may have removed the file since step 1.
//     So if the path is not this file now, it returns to step 1.
//  3. It writes the first line, syncs it, and then gives the part its name. On
//     systems without unnamed files, the part has its name before that.
//  4. At the end it removes the state file, after the part has its final name.
//
// If a process is killed between steps 3 and 4, the state may describe a part
// that does not exist, or that is complete. The inode number of the part shows
// whether the part is the one that the state describes.
type state struct {
	Format   string    `json:"format,omitempty"`  // stateFormat
	ETag     string    `json:"etag,omitempty"`    // the strong entity tag of the version
	Modified time.Time `json:"modified,omitzero"` // the header Last-Modified
	Strong   bool      `json:"strong,omitempty"`  // whether Modified alone is a strong validator
	Size     int64     `json:"size,omitempty"`    // the size of the whole file; -1 if it is unknown
	Digests  []Digest  `json:"digests,omitempty"` // the digests that the server has sent with the whole file
	Type     string    `json:"type,omitempty"`    // the media type
	Inode    uint64    `json:"inode,omitempty"`   // the inode number of the part; 0 on systems without one
	Born     int64     `json:"born,omitempty"`    // the time at which the part was created, see born
	Boot     string    `json:"boot,omitempty"`    // identifies the time since the system started; empty on systems without such an identifier
	Synced   int64     `json:"synced"`            // the number of bytes that were synced

	// Pieces are the synced bytes after the first Synced bytes. Several
	// connections have received them. If Pieces is not nil, the part may have
	// holes, and only Synced and Pieces tell which bytes are there.
	Pieces []span `json:"pieces,omitzero"`
}

// span is a range of bytes, from the first byte to the byte after the last.
type span [2]int64

// sumSpans returns the number of bytes of all spans.
func sumSpans(spans []span) (n int64) {
	for _, s := range spans {
		n += s[1] - s[0]
	}
	return n
}

// cutSpans returns the spans of the first size bytes. It changes its parameter.
func cutSpans(spans []span, size int64) []span {
	for i := range spans {
		spans[i] = span{min(spans[i][0], size), min(spans[i][1], size)}
	}
	return spans
}

const (
	stateFormat = "concert part 2"
	maxState    = 16 << 20
)

// validator returns the value of If-Range, or "" if there is no strong
// validator.
func (s *state) validator() string {
	switch {
	case s.ETag != "":
		return s.ETag
	case s.Strong && !s.Modified.IsZero():
		return s.Modified.UTC().Format(httpTime)
	}
	return ""
}

// readState parses a state file. It reports whether the file belongs to a Get,
// and not to another program: it is empty, or has a state.
func readState(f io.Reader) (s state, ours bool) {
	b, err := io.ReadAll(io.LimitReader(f, maxState))
	if err != nil {
		return state{}, false
	}
	for i, line := range bytes.SplitAfter(b, []byte("\n")) {
		var next state
		valid := bytes.HasSuffix(line, []byte("\n")) && json.Unmarshal(line, &next) == nil
		if valid && next.Format == "" {
			next = s
			next.Pieces = nil
			json.Unmarshal(line, &next)
			if next.Pieces == nil {
				next.Pieces = s.Pieces
			}
		}
		if valid {
			s = next
		}
		if i == 0 && s.Format != stateFormat {
			break
		}
	}
	s.Digests = slices.DeleteFunc(s.Digests, func(d Digest) bool { return d.check() != nil })
	return s, s.Format == stateFormat || len(b) == 0
}

// isValid reports whether the state describes a part that can be continued.
func (s *state) isValid() bool {
	return s.Format == stateFormat && s.validator() != "" && s.Size >= -1 && s.Synced >= 0
}

// appendState writes a line at the end of a state file.
func appendState(f *os.File, line any) error {
	b, err := json.Marshal(line)
	if err != nil {
		return err
	}
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	b = append(b, '\n')
	if last := []byte{'\n'}; end > 0 {
		if _, err := f.ReadAt(last, end-1); err != nil {
			return err
		}
		if last[0] != '\n' { // an incomplete line
			b = append([]byte{'\n'}, b...)
		}
	}
	_, err = f.Write(b)
	return err
}

// errTaken reports that another call holds the lock of a state file.
var errTaken = errors.New("another download of this file is running")

// lockTries is the maximum number of tries of lockState. More than a few are
// necessary only in two cases: another program creates and removes the file
// all the time, or the file system has no stable inode numbers.
const lockTries = 100

// lockState opens and locks the state file at a path. If create is not set, and
// the file is missing, the error wraps fs.ErrNotExist.
func lockState(path string, create bool) (*os.File, error) {
	flags := os.O_RDWR | oNoFollow
	if create {
		flags |= os.O_CREATE
	}
	for range lockTries {
		f, err := os.OpenFile(path, flags, 0o600)
		if err != nil {
			return nil, err
		}
		if filelock.LockUnlessTaken(f) {
			f.Close()
			return nil, errTaken
		}
		opened, err := f.Stat()
		if err == nil && !opened.Mode().IsRegular() {
			err = errors.New("not a regular file")
		}
		if err != nil {
			f.Close()
			return nil, err
		}
		if now, err := os.Lstat(path); err == nil && os.SameFile(opened, now) {
			return f, nil
		}
		f.Close()
	}
	return nil, fmt.Errorf("cannot lock %s: in each of %d tries, another file had replaced the opened one", path, lockTries)
}
