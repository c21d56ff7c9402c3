package download

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
)

// receive writes the body to the part. If the length and the digests are right,
// the part is complete.
func (j *job) receive(ctx context.Context, cancel context.CancelCauseFunc, resp *http.Response, from int64) error {
	p := j.part
	whole := resp.StatusCode == http.StatusOK
	sent := sentDigests(resp.Header, whole)
	if resp.Header.Get("Content-Encoding") == "" {
		if err := j.checkSent(sent); err != nil {
			return err
		}
	}
	compressed, err := j.gzipped(resp)
	if err != nil {
		return j.fail("accept the file", err)
	}
	b := &body{job: j, ctx: ctx, r: resp.Body}
	endWatch := sync.OnceFunc(b.watch(cancel))
	defer endWatch()
	var hashed hashes     // of the bytes of the file
	var sentHashed hashes // of the bytes of the body, if it is compressed
	var r io.Reader = b
	if compressed {
		sentHashed = newHashes(sent)
		tee := io.TeeReader(b, sentHashed)
		z, err := gzip.NewReader(tee)
		switch {
		case err == io.EOF && b.bytes.Load() == 0:
			r = tee // an empty body is an empty file, not an error
		case err != nil:
			return j.failRequest(ctx, "decompress the body", err)
		default:
			r = z
		}
	}
	if p.size.Load() == 0 {
		hashed = newHashes(append(slices.Clip(j.Digests), sent...))
	}
	if from < p.size.Load() {
		progress := func(at int64) { j.emit(Event{Kind: EventProgress, Done: at, Total: p.state.Size}) }
		if _, err := b.compare(p.file, from, p.size.Load(), progress); err != nil {
			if errors.Is(err, errDamaged) {
				j.discardPart()
				return j.fail("continue", err).again()
			}
			j.setRecheck(0)
			return j.failRequest(ctx, "continue", unexpected(err))
		}
	}
	j.compared, j.comparedTo = true, j.urlIndex()
	if p.lock != nil && p.state.validator() != "" {
		p.startSync()
	}
	before := p.size.Load()
	err = j.copy(ctx, r, hashed)
	j.setRecheck(p.size.Load() - before)
	if err != nil {
		return err
	}
	endWatch() // the digest of a large part can take longer than the timeouts
	size := p.size.Load()
	if p.state.Size >= 0 && size != p.state.Size {
		return j.fail("receive", fmt.Errorf("the server sent %d of %d bytes: %w", size, p.state.Size, io.ErrUnexpectedEOF)).again()
	}
	trailer := sentDigests(resp.Trailer, whole)
	if compressed {
		if err := sentHashed.verify(sent); err != nil {
			j.discardPart()
			return j.fail("accept the file", err).again()
		}
		return j.verify(ctx, hashed, j.Digests)
	}
	want := slices.Clip(j.Digests)
	for _, d := range slices.Concat(p.state.Digests, sent, trailer) {
		if !slices.Contains(want, d) {
			want = append(want, d)
		}
	}
	return j.verify(ctx, hashed, want)
}

// checkSent compares the digests of a reply with the digests of the request
// and of the part. If digests differ, it discards the part, and returns an
// error. If only the digests of the part differ, the server has replaced the
// file and kept the validator. Then the error is temporary, and the next
// attempt starts from the beginning. checkSent also uses the digests of the
// part because a reply with a range may have no digest.
func (j *job) checkSent(sent []Digest) error {
	err := conflict(sent, slices.Concat(j.Digests, j.part.state.Digests))
	if err == nil {
		return nil
	}
	j.discardPart()
	e := j.fail("accept the file", err)
	e.temporary = conflict(sent, slices.Concat(j.Digests, sent)) == nil
	return e
}

// copy writes all bytes of a reader to the part.
func (j *job) copy(ctx context.Context, r io.Reader, h hashes) error {
	p := j.part
	buf, put := getBuffer(p.state.Size)
	defer put()
	for {
		n, readErr := r.Read(*buf)
		if n > 0 {
			b := (*buf)[:n]
			if total := p.state.Size; total >= 0 && p.size.Load()+int64(n) > total {
				j.discardPart()
				return j.fail("receive", fmt.Errorf("the server sent more than the announced %d bytes", total)).again()
			}
			if err := p.write(b); err != nil {
				if errors.Is(err, errAppeared) {
					return err
				}
				return j.failWrite("write the partial file of "+j.Name, err)
			}
			h.Write(b)
			j.emit(Event{Kind: EventProgress, Done: p.size.Load(), Total: p.state.Size})
		}
		if readErr == io.EOF {
			return nil
		}
		if readErr == nil {
			readErr = ctx.Err() // if the body arrived before ctx ended, Read returns no error
		}
		if readErr != nil {
			return j.failRequest(ctx, fmt.Sprintf("receive, after %d bytes", p.size.Load()), readErr)
		}
	}
}

// verify verifies the digests of the complete part. If h has not received all
// bytes, or lacks an algorithm, verify reads the part.
func (j *job) verify(ctx context.Context, h hashes, want []Digest) error {
	if len(want) == 0 {
		return nil
	}
	if h == nil || !h.covers(want) {
		h = newHashes(want)
		if err := j.hash(ctx, h, j.part.reader(), j.part.size.Load()); err != nil {
			return j.fail("read the partial file of "+j.Name, err)
		}
	}
	if err := h.verify(want); err != nil {
		j.discardPart()
		return j.fail("accept the file", err).again()
	}
	j.result.Digests = want
	return nil
}
