package download

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// part is the partial file, which finish renames when it is complete. Another
// file, the note, has the URL and the version of the file. If the note is
// missing, or is for another URL or version, the download starts from the
// beginning of the file.
//
// Get writes the note before the first byte of the body, and removes the note
// before it truncates the part. So the note never describes the bytes of
// another file, even if the process is killed.
type part struct {
	root *os.Root
	name string
	url  string // the URL, without a password

	note
	file   *os.File
	size   int64     // the number of bytes in the file
	hasher hash.Hash // computes the checksum of these bytes; nil if no checksum is needed
}

// note is the content of the file name.part.json.
type note struct {
	URL       string // the URL, without a password
	Validator string // a strong validator of the file, for the header If-Range
	Size      int64  // the size of the whole file; -1 if it is unknown
}

const largestNote = 64 << 10

func (p *part) noteName() string { return p.name + ".json" }

// open opens the part, and checks whether it can be continued.
func (p *part) open() (err error) {
	p.file, err = p.root.OpenFile(p.name, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	info, err := p.file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("not a regular file")
	}
	if info.Size() > 0 && p.readNote() && p.URL == p.url && (p.Size < 0 || info.Size() <= p.Size) {
		p.size = info.Size()
		if p.size == p.Size {
			// The part is complete, but its checksum was not verified. HTTP has
			// no empty range. So remove the last byte, and request it again.
			p.size--
			if err := p.file.Truncate(p.size); err != nil {
				return err
			}
		}
		_, err = p.file.Seek(0, io.SeekEnd)
		return err
	}
	return nil
}

func (p *part) readNote() bool {
	f, err := p.root.Open(p.noteName())
	if err != nil {
		return false
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, largestNote))
	return err == nil && json.Unmarshal(b, &p.note) == nil && p.Validator != ""
}

// begin truncates the part and writes its note, for a body with the whole file.
func (p *part) begin(resp *http.Response) error {
	if err := p.root.Remove(p.noteName()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := p.file.Truncate(0); err != nil {
		return err
	}
	if _, err := p.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	p.size = 0
	p.note = note{URL: p.url, Validator: strongValidator(resp), Size: resp.ContentLength}
	if p.Validator == "" {
		return nil // without a validator, the part cannot be continued, and needs no note
	}
	b, err := json.Marshal(p.note)
	if err != nil {
		return err
	}
	return p.root.WriteFile(p.noteName(), b, 0o666)
}

// hash prepares the computation of the checksum, if wanted is set. The checksum
// includes the bytes that the part already has.
func (p *part) hash(wanted bool) error {
	if !wanted {
		return nil
	}
	p.hasher = sha256.New()
	if p.size == 0 {
		return nil
	}
	_, err := io.Copy(p.hasher, io.NewSectionReader(p.file, 0, p.size))
	return err
}

func (p *part) sum() string { return hex.EncodeToString(p.hasher.Sum(nil)) }

func (p *part) write(b []byte) error {
	n, err := p.file.Write(b)
	p.size += int64(n)
	if p.hasher != nil {
		p.hasher.Write(b[:n])
	}
	return err
}

// finish renames the complete part to the name of the file.
func (p *part) finish(name string) error {
	if err := p.file.Close(); err != nil {
		return err
	}
	p.file = nil
	if err := p.root.Rename(p.name, name); err != nil {
		return err
	}
	if err := p.root.Remove(p.noteName()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// giveUp closes the part and removes its files, because it must not be
// continued.
func (p *part) giveUp() {
	p.close()
	p.root.Remove(p.noteName())
	p.root.Remove(p.name)
}

// close closes the part. It removes a part that is empty or cannot be
// continued.
func (p *part) close() {
	if p.file == nil {
		return
	}
	p.file.Close()
	p.file = nil
	if p.size == 0 || p.Validator == "" {
		p.root.Remove(p.noteName())
		p.root.Remove(p.name)
	}
}

// strongValidator returns a value for If-Range that identifies the exact bytes
// of the file: an entity tag that is not weak, or a modification date at least
// a second before the date of the reply (RFC 9110, 8.8.2.2).
func strongValidator(resp *http.Response) string {
	if tag := resp.Header.Get("ETag"); tag != "" {
		if len(tag) >= 2 && tag[0] == '"' && tag[len(tag)-1] == '"' {
			return tag
		}
		return ""
	}
	modified, err := http.ParseTime(resp.Header.Get("Last-Modified"))
	if err != nil {
		return ""
	}
	date, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil || date.Sub(modified) < time.Second {
		return ""
	}
	return resp.Header.Get("Last-Modified")
}

// parseContentRange parses "bytes first-last/total". It refuses an unknown
// total, and a total that is not last + 1, because the range must contain all
// of the rest of the file.
func parseContentRange(s string) (first, total int64, ok bool) {
	s, found := strings.CutPrefix(s, "bytes ")
	span, size, found2 := strings.Cut(s, "/")
	from, to, found3 := strings.Cut(span, "-")
	if !found || !found2 || !found3 {
		return 0, 0, false
	}
	first, err1 := strconv.ParseInt(from, 10, 64)
	last, err2 := strconv.ParseInt(to, 10, 64)
	total, err3 := strconv.ParseInt(size, 10, 64)
	ok = err1 == nil && err2 == nil && err3 == nil && first >= 0 && last >= first && last == total-1
	return first, total, ok
}
