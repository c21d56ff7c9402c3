package download

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"time"
)

// tryOnce makes one request, and writes the body to j.part. If it returns nil,
// either the part is complete and verified, or the existing file is the file
// of the server.
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
	from, validator := j.resumeFrom()
	switch {
	case validator != "":
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", from))
		req.Header.Set("If-Range", validator)
	case j.known != nil:
		j.known.setConditions(j.url(), req.Header)
	}
	resp, err := j.client.do(j.client.http, req)
	if err != nil {
		if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() && conn != nil {
			// The time of this error includes the handshake of a new
			// connection, which did receive data. So the connection counts as
			// silent if no data has arrived in the second half of the time.
			closeIfSilent(conn, time.Now().Add(-j.client.opts.Header/2))
		}
		return j.failRequest(ctx, "get a reply", err)
	}
	defer resp.Body.Close()
	j.result.Status, j.result.FinalURL = resp.StatusCode, SafeURL(resp.Request.URL)
	if resp.StatusCode == http.StatusOK {
		from = 0 // also if a range was requested
	}
	done, err := j.accept(resp, from)
	timer.Stop()
	if err == errNeedsBytes {
		return j.compareBody(ctx, cancel, resp, from)
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
	case resp.StatusCode == http.StatusOK && isFragment(resp):
		e := j.fail("get it", fmt.Errorf("the server sent the range %q with the status 200, but this status means the whole file", resp.Header.Get("Content-Range")))
		e.rangeOnly = resp.Request.Header.Get("Range") != ""
		e.temporary = !e.rangeOnly
		return false, e
	case resp.StatusCode == http.StatusOK, resp.StatusCode == http.StatusNotModified && j.known.isAsked(resp.Request.Header):
		return j.acceptWhole(resp)
	case resp.StatusCode == http.StatusPartialContent && resp.Request.Header.Get("Range") != "":
		if err := errors.Join(j.version().checkPartial(resp, from, -1), j.checkUncompressed(resp)); err != nil {
			j.discardPart()
			return false, j.fail("continue", err).again()
		}
		if j.part == nil {
			return false, errNeedsBytes
		}
		return false, nil
	case resp.StatusCode == http.StatusPartialContent:
		return false, j.fail("get it", errors.New("the server sent a range, although none was requested")).again()
	}
	return false, j.failStatus(resp)
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
			j.discardPart() // an earlier attempt had another version
			return true, j.present(j.known.info, nil)
		}
		if !j.Update {
			if j.known.needsBytes(resp, now) {
				j.known.setVersion(now)
				return false, errNeedsBytes
			}
			return false, j.fail("create "+j.Name, errDiffers)
		}
	}
	if compressed, err := j.gzipped(resp); err != nil {
		return false, j.fail("accept the file", err)
	} else if compressed {
		// The length and the validator in the header describe the compressed
		// bytes, not the file.
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
	case j.part.state.isVersion(now):
		if err := j.part.checkLength(now.Size); err != nil {
			j.discardPart()
			return false, j.fail("continue", err).again()
		}
		// The body is compared with the part. The bytes after the part are
		// appended to it.
		if err := j.part.keepPrefix(); err != nil {
			return false, j.failWrite("write the partial file", err)
		}
		j.earlier = cutSpans(j.earlier, j.part.size.Load())
		return false, nil
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
	j.earlier = nil
	return false, nil
}
