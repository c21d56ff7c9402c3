package download

import (
	"bytes"
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
// the lengths are equal or the server has sent none, the file has no receipt,
// and the server has sent no date. This occurs where the file system has no
// extended attributes.
func (k *existing) needsBytes(resp *http.Response, s state) bool {
	return k.receipt == nil && !k.wrong && resp.StatusCode == http.StatusOK && (s.Size == k.info.Size() || s.Size < 0) && s.Modified.IsZero() &&
		resp.Header.Get("Content-Encoding") == ""
}

// compareBody compares a body with the existing file. The file is present if
// all bytes are equal.
func (j *job) compareBody(ctx context.Context, cancel context.CancelCauseFunc, resp *http.Response) error {
	f, err := os.Open(j.path(j.Name))
	if err != nil {
		return j.fail("read "+j.Name, err)
	}
	defer f.Close()
	size := j.known.info.Size()
	j.emit(Event{Kind: EventReply, URL: j.result.FinalURL, Status: resp.StatusCode, Total: size})
	b := &body{job: j, ctx: ctx, r: resp.Body}
	defer b.watch(cancel)()
	got, have := buffers.Get().(*[]byte), buffers.Get().(*[]byte)
	defer buffers.Put(got)
	defer buffers.Put(have)
	for done := int64(0); ; {
		n, err := b.Read(*got)
		if n > 0 {
			if _, err := io.ReadFull(f, (*have)[:n]); err != nil || !bytes.Equal((*got)[:n], (*have)[:n]) {
				return j.fail("create "+j.Name, errDiffers)
			}
			done += int64(n)
			j.emit(Event{Kind: EventProgress, Done: done, Total: size})
		}
		if err == io.EOF && done == size {
			return j.present(j.known.info, nil)
		}
		if err == nil {
			err = ctx.Err()
		}
		if err == io.EOF && resp.ContentLength < 0 {
			return j.fail("create "+j.Name, errDiffers) // the file of the server is shorter
		}
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return j.failRequest(ctx, fmt.Sprintf("compare %s, after %d bytes", j.Name, done), err)
		}
	}
}
