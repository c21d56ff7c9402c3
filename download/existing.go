package download

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"time"
)

// existing is a file that exists already, and that Get must compare with the
// file of the server.
type existing struct {
	info    fs.FileInfo
	receipt *receipt // nil if the file has none
	wrong   bool     // whether the file does not have the digests of the request, so that it cannot be the right file

	version state // the version of the server's file that the bytes are compared with
	equal   int64 // the number of bytes at the beginning of the file that are equal to this version
}

// checkExisting looks for the file. It reports whether the file is present, so
// that no download is necessary. If Get must not replace the file, it returns
// an error. If only the server can tell, it sets j.known.
func (j *job) checkExisting(ctx context.Context) (found bool, err error) {
	j.known = nil
	link, err := j.look(j.Name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, j.fail("look for "+j.Name, err)
	}
	info := link
	if link.Mode().Type() == fs.ModeSymlink {
		if info, err = os.Stat(j.path(j.Name)); err != nil && !j.Overwrite {
			return false, j.fail("create "+j.Name, fmt.Errorf("%w: it is a symbolic link to a missing file", fs.ErrExist))
		}
	}
	switch {
	case info != nil && info.IsDir():
		return false, j.fail("create "+j.Name, fmt.Errorf("%w and is a directory", errExists))
	case j.Overwrite:
		return false, nil
	case !info.Mode().IsRegular():
		return false, j.fail("create "+j.Name, fmt.Errorf("%w and is not a regular file", fs.ErrExist))
	case j.Keep:
		return true, j.present(info, nil)
	}
	if len(j.Digests) > 0 {
		err := j.checkDigests(ctx, info)
		if errors.Is(err, ErrChecksum) && j.Update {
			j.known = &existing{info: info, wrong: true}
			return false, nil
		}
		return err == nil, err
	}
	r := readReceipt(j.path(j.Name), info)
	if r != nil && r.URL == urlHash(j.urls[0]) && !j.Update {
		return true, j.present(info, nil)
	}
	j.known = &existing{info: info, receipt: r}
	return false, nil
}

// mayExist reports whether there is a file with the name, or the state of its
// part.
func (j *job) mayExist() bool {
	return j.hasName(func(name string) bool {
		_, err := j.look(name)
		return !errors.Is(err, fs.ErrNotExist)
	})
}

// errExists is the reason of an error for a file that even Overwrite does not
// replace.
var errExists = errors.New("it exists already")

// present sets the result for a file that exists, and returns nil.
func (j *job) present(info fs.FileInfo, digests []Digest) error {
	j.result.Size, j.result.Present, j.result.Digests, j.result.Modified = info.Size(), true, digests, info.ModTime()
	return nil
}

// checkDigests verifies the digests of an existing file.
func (j *job) checkDigests(ctx context.Context, info fs.FileInfo) error {
	f, err := os.Open(j.path(j.Name))
	if err != nil {
		return j.fail("read "+j.Name, err)
	}
	defer f.Close()
	h := newHashes(j.Digests)
	if err := j.hash(ctx, h, f, info.Size()); err != nil {
		return j.fail("read "+j.Name, err)
	}
	if err := h.verify(j.Digests); err != nil {
		return j.fail("create "+j.Name, fmt.Errorf("%w with another checksum: %w", fs.ErrExist, err))
	}
	return j.present(info, j.Digests)
}

// hash adds the bytes of a reader to h. It reports the progress, and stops when
// ctx ends.
func (j *job) hash(ctx context.Context, h io.Writer, r io.Reader, size int64) error {
	buf := make([]byte, 1<<20)
	for done := int64(0); ; {
		n, err := r.Read(buf)
		h.Write(buf[:n])
		done += int64(n)
		j.emit(Event{Kind: EventHash, Done: done, Total: size})
		if err == io.EOF {
			return nil
		}
		if err == nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// setConditions makes a request conditional: if the server has the version of
// the existing file, it replies with the status 304. An entity tag identifies a
// version of one URL only (RFC 9110, section 8.8.3).
func (k *existing) setConditions(u *url.URL, h http.Header) {
	switch {
	case k.receipt == nil || k.receipt.URL != urlHash(u):
	case k.receipt.ETag != "":
		h.Set("If-None-Match", k.receipt.ETag)
	case !k.receipt.Modified.IsZero():
		h.Set("If-Modified-Since", k.receipt.Modified.UTC().Format(httpTime))
	}
}

// isSame reports whether a reply has the version of the existing file. The
// lengths must be equal. The entity tags must be equal, too, if both exist and
// the URL of the receipt has the same host and path. Otherwise the modification
// times must be equal.
func (k *existing) isSame(u *url.URL, resp *http.Response, s state) bool {
	r := k.receipt
	switch {
	case k.wrong:
		return false
	case resp.StatusCode == http.StatusNotModified:
		return true
	case s.Size >= 0 && s.Size != k.info.Size():
		return false
	case r != nil && r.ETag != "" && s.ETag != "" && (r.URL == urlHash(u) || s.Size >= 0 && r.Path == pathHash(u)):
		return r.ETag == s.ETag
	}
	return s.Size >= 0 && !s.Modified.IsZero() && s.Modified.Equal(k.info.ModTime().Truncate(time.Second))
}

// isAsked reports whether setConditions made a request conditional. A status
// 304 means only after such a request that the existing file is the file of
// the server.
func (k *existing) isAsked(h http.Header) bool {
	return k != nil && k.receipt != nil && (h.Get("If-None-Match") != "" || h.Get("If-Modified-Since") != "")
}
