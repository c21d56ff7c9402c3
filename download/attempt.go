package download

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"sync"
	"time"
)

// overlap is the number of bytes at the end of a part that are requested again,
// and compared. So a part whose last bytes were damaged by a loss of power, or
// that is of another file, is not continued.
const overlap = 64 << 10

// maxRecheck is the maximum overlap of bytes that this Get itself has received
// from the same URL: a server may replace the file between two requests, and
// send the entity tag of the old one. The overlap is at most half of the bytes
// that the last attempt has received. So the download makes progress even if
// the server breaks each connection after few bytes.
const maxRecheck = 4 << 10

// errDamaged reports that the last bytes of a part are not those of the server.
var errDamaged = errors.New("the end of the partial file differs from the file of the server; the next attempt starts from the beginning")

// attempt makes one request, and writes the body to j.part. If it returns nil,
// the part is complete and verified, or the existing file is the right one.
func (j *job) tryOnce(parent context.Context) (err error) {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	j.several = false
	var conn net.Conn
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { conn = info.Conn }})
	limited, timer := j.client.limitReply(traced, cancel)
	defer timer.Stop()
	req, err := j.newRequest(limited, j.urlIndex())
	if err != nil {
		return j.fail("make the request", err)
	}
	if j.comparedTo != j.urlIndex() {
		j.compared = false // a mirror may have another file
	}
	from := int64(0)
	switch {
	case j.part != nil && j.part.received() > 0 && j.part.state.validator() != "" && !j.whole:
		size := j.part.size.Load()
		from = size
		if j.part.missing != nil {
			from = j.part.missing.start()
		} else if j.compared {
			from = max(0, size-j.recheck)
		} else {
			from = max(0, size-overlap)
		}
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", from))
		req.Header.Set("If-Range", j.part.state.validator())
	case j.known != nil:
		j.known.setConditions(j.url(), req.Header)
	}
	resp, err := j.client.do(j.client.http, req)
	if err != nil {
		if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() && conn != nil {
			// A new connection has received the handshake since the request
			// began. So only the second half of the time counts.
			closeIfSilent(conn, time.Now().Add(-j.client.opts.Header/2))
		}
		return j.failRequest(ctx, "get a reply", err)
	}
	defer resp.Body.Close()
	j.result.Status, j.result.FinalURL = resp.StatusCode, SafeURL(resp.Request.URL)
	done, err := j.accept(resp, from)
	timer.Stop()
	if err == errNeedsBytes {
		return j.compareBody(ctx, cancel, resp)
	}
	if done || err != nil {
		return err
	}
	j.emit(Event{Kind: EventReply, URL: j.result.FinalURL, Status: resp.StatusCode, Done: j.part.received(), Total: j.part.state.Size})
	if j.divides(resp) {
		err = j.receivePieces(parent, &reply{ctx: ctx, cancel: cancel, resp: resp, from: from, silent: func() {
			closeIfSilent(conn, time.Now().Add(-j.client.opts.Stall))
		}})
	} else {
		err = j.receive(ctx, cancel, resp, from)
	}
	if errors.Is(err, errStalled) && conn != nil {
		closeIfSilent(conn, time.Now().Add(-j.client.opts.Stall))
	}
	return err
}

// accept checks the header of a reply to a request for the bytes from a
// position on. It prepares the part for the body, or reports that the existing
// file is the right one.
func (j *job) accept(resp *http.Response, from int64) (done bool, err error) {
	switch {
	case resp.StatusCode == http.StatusOK, resp.StatusCode == http.StatusNotModified && j.known.isAsked(resp.Request.Header):
		return j.acceptWhole(resp)
	case resp.StatusCode == http.StatusPartialContent && resp.Request.Header.Get("Range") != "":
		p := j.part
		if err := errors.Join(p.state.checkPartial(resp, from, -1), j.checkUncompressed(resp)); err != nil {
			j.discardPart()
			return false, j.fail("continue", err).again()
		}
		return false, nil
	case resp.StatusCode == http.StatusPartialContent:
		return false, j.fail("get it", errors.New("the server sent a range, although none was requested")).again()
	case resp.StatusCode == http.StatusRequestedRangeNotSatisfiable && j.part != nil:
		j.discardPart()
		return false, j.fail("continue", errors.New("the server has no such range; the next attempt starts from the beginning of the file")).again()
	}
	return false, j.failStatus(resp)
}

func (j *job) partSize() int64 {
	if j.part == nil {
		return 0
	}
	return j.part.received()
}

// acceptWhole accepts a reply with the whole file.
func (j *job) acceptWhole(resp *http.Response) (done bool, err error) {
	if j.ServerName {
		name, err := serverName(resp.Header)
		if err != nil {
			return false, j.fail("use the name that the server gives the file", err)
		}
		if name == "" {
			name = j.Name
		}
		if j.OnName != nil {
			if err := j.OnName(name); err != nil {
				return false, j.fail("create "+name, err)
			}
		}
		j.ServerName, j.Name, j.result.Path = false, name, j.path(name)
		if j.mayExist() {
			return false, errAppeared // compare or continue the file with this name
		}
	}
	now := versionOf(resp)
	if j.known != nil {
		if j.known.isSame(j.url(), resp, now) {
			j.discardPart() // an attempt before this one had another version
			return true, j.present(j.known.info, nil)
		}
		if !j.Update {
			if j.known.needsBytes(resp, now) {
				return false, errNeedsBytes
			}
			return false, j.fail("create "+j.Name, errDiffers)
		}
	}
	if compressed, err := j.gzipped(resp); err != nil {
		return false, j.fail("accept the file", err)
	} else if compressed {
		// The length and the validator are those of the compressed bytes.
		now.ETag, now.Strong, now.Size, now.Digests = "", false, -1, nil
	}
	switch {
	case j.part == nil:
		if j.part, err = j.newPart(now); err != nil {
			if errors.Is(err, errAppeared) {
				return false, err
			}
			return false, j.failWrite("create a partial file in "+j.dir, err)
		}
	default:
		if j.part.received() > 0 && j.part.state.validator() != "" {
			if err := j.part.state.checkReplacement(now); err != nil {
				return false, j.fail("continue", err).again()
			}
		}
		if err := j.part.restart(now); err != nil {
			return false, j.failWrite("write the partial file", err)
		}
	}
	j.resumed = 0
	j.result.Modified = now.Modified
	return false, nil
}

func (j *job) discardPart() {
	if j.part != nil {
		j.part.discard()
		j.part, j.resumed, j.compared = nil, 0, false
	}
}

// receive writes the body to the part. If the length and the digests are right,
// the part is complete.
func (j *job) receive(ctx context.Context, cancel context.CancelCauseFunc, resp *http.Response, from int64) error {
	p := j.part
	whole := resp.StatusCode == http.StatusOK
	sent := sentDigests(resp.Header, whole)
	known := slices.Concat(j.Digests, p.state.Digests) // a range may have no digest
	if err := conflict(sent, known); err != nil && resp.Header.Get("Content-Encoding") == "" {
		j.discardPart()
		return j.fail("accept the file", err)
	}
	compressed, err := j.gzipped(resp)
	if err != nil {
		return j.fail("accept the file", err)
	}
	b := &body{job: j, ctx: ctx, r: resp.Body, part: p}
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
			r = tee // an empty body is an empty file
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
		if err := b.compare(from, p.size.Load()); err != nil {
			if errors.Is(err, errDamaged) {
				j.discardPart()
				return j.fail("continue", err).again()
			}
			j.recheck /= 2 // the next attempt may get to new bytes
			return j.failRequest(ctx, "continue", err)
		}
	}
	j.compared, j.comparedTo = true, j.urlIndex()
	if p.lock != nil && p.state.validator() != "" {
		p.startSync()
	}
	before := p.size.Load()
	err = j.copy(ctx, r, hashed)
	if n := p.size.Load() - before; n > 0 {
		j.recheck = min(maxRecheck, (n+1)/2)
	} else { // the next attempt still compares bytes, and may get to new ones
		j.recheck /= 2
	}
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

// copy writes a reader to the part until the reader ends.
func (j *job) copy(ctx context.Context, r io.Reader, h hashes) error {
	p := j.part
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
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

// verify verifies the digests of the complete part. If h does not have all the
// bytes or algorithms, verify reads the part.
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
