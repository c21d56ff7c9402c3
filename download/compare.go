package download

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
)

// errNeedsBytes reports that only the bytes of the body tell whether an
// existing file and the file of the server are the same.
var errNeedsBytes = errors.New("the bytes must be compared")

// needsBytes reports whether the body must be compared with an existing file:
// the file has no receipt, the server has sent no date, and it has sent no
// length or the length of the file. This occurs where the file system has no
// extended attributes.
func (k *existing) needsBytes(resp *http.Response, s state) bool {
	return k.receipt == nil && !k.wrong && resp.StatusCode == http.StatusOK && (s.Size == k.info.Size() || s.Size < 0) && s.Modified.IsZero() &&
		resp.Header.Get("Content-Encoding") == ""
}

// setVersion sets the version of the server's file. If it may differ from the
// previous version, the comparison starts again at the first byte.
func (k *existing) setVersion(s state) {
	if s.validator() == "" || s.validator() != k.version.validator() {
		k.equal = 0
	}
	k.version = s
}

// compareBody compares the existing file with a body. The body begins with the
// byte at a given position of the file. The file is present if all bytes are
// equal. If the connection breaks, the next attempt continues the comparison.
func (j *job) compareBody(ctx context.Context, cancel context.CancelCauseFunc, resp *http.Response, from int64) error {
	k := j.known
	size := k.info.Size()
	if k.version.Size >= 0 && k.version.Size != size {
		return j.fail("create "+j.Name, errDiffers) // then an earlier reply with a range had the length
	}
	f, err := os.Open(j.path(j.Name))
	if err != nil {
		return j.fail("read "+j.Name, err)
	}
	defer f.Close()
	j.emit(Event{Kind: EventReply, URL: j.result.FinalURL, Status: resp.StatusCode, Done: k.equal, Total: size})
	b := &body{job: j, ctx: ctx, r: resp.Body}
	defer b.watch(cancel)()
	before := k.equal
	at, err := b.compare(f, from, size, func(at int64) { j.emit(Event{Kind: EventProgress, Done: at, Total: size}) })
	k.equal = max(k.equal, at)
	j.setRecheck(k.equal - before)
	j.compared, j.comparedTo = true, j.urlIndex()
	if err == nil {
		if _, err = io.ReadFull(b, make([]byte, 1)); err == nil {
			err = errDamaged // the file of the server is longer
		}
	} else if err == io.EOF && k.version.Size < 0 {
		err = errDamaged // the file of the server is shorter, and the reply had no length
	} else {
		err = unexpected(err)
	}
	switch {
	case errors.Is(err, errDamaged):
		return j.fail("create "+j.Name, errDiffers)
	case err != io.EOF:
		return j.failRequest(ctx, fmt.Sprintf("compare %s, after %d bytes", j.Name, k.equal), err)
	}
	if now, err := f.Stat(); err != nil || !os.SameFile(now, k.info) || now.Size() != size || !now.ModTime().Equal(k.info.ModTime()) {
		return errAppeared // another program has changed the file in the meantime
	}
	return j.present(k.info, nil)
}
