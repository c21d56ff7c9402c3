package download

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"
)

// connection is one of several connections for a file. It receives one piece
// after the other.
type connection struct {
	t        *transfer
	url      int   // the index of the URL or mirror
	first    bool  // whether this connection has the first reply of the attempt
	accepted bool  // whether the server has accepted a request of this connection
	bytes    int64 // the number of bytes that the connection has received
	renewed  int64 // the value of bytes when the number of attempts was renewed
	failures int   // the number of failed attempts since then
	refusals int   // the number of URLs that have refused this connection since a URL last accepted it
}

// errRefused is wrapped by the error of a reply that does not have the
// requested piece of the same version.
var errRefused = errors.New("the server refused a further connection")

// run receives pieces until no piece is left for this connection. first is the
// reply that has the first piece, or nil.
func (c *connection) run(p *piece, first *reply) {
	t := c.t
	delay := t.j.client.opts.RetryDelay
	for p != nil {
		var err *Error
		if first != nil {
			err = c.receive(p, first)
			first = nil
		} else {
			err = c.fetch(p)
		}
		if err == nil {
			p = t.finished()
			continue
		}
		t.failed(p, err)
		if c.bytes >= c.renewed+minProgress {
			c.renewed, c.failures, delay = c.bytes, 0, t.j.client.opts.RetryDelay
		}
		pause, again := c.pause(err, delay)
		if !again || sleep(t.ctx, pause) != nil {
			return
		}
		delay = min(2*delay, maxRetryDelay)
		p = t.next()
	}
}

// pause decides after an error whether the connection continues, and when. It
// selects the next URL. If all URLs have refused this connection, it ends.
func (c *connection) pause(e *Error, delay time.Duration) (pause time.Duration, again bool) {
	o := &c.t.j.client.opts
	urls := 1
	if len(c.t.j.Digests) > 0 {
		urls = len(c.t.j.urls)
		c.url = (c.url + 1) % urls
	}
	if errors.Is(e, errRefused) || !e.temporary {
		c.refusals++
		return 0, c.refusals < urls
	}
	c.failures++
	pause = delay - rand.N(delay/2+1)
	if e.retryAfter > 0 {
		pause = e.retryAfter
	}
	return pause, c.failures <= max(0, o.Retries) && e.retryAfter <= o.MaxRetryAfter
}

// fetch requests a piece, and receives it.
func (c *connection) fetch(p *piece) *Error {
	j := c.t.j
	ctx, cancel := context.WithCancelCause(c.t.ctx)
	defer cancel(nil)
	from, end := c.t.pieces.request(p)
	if from == end {
		return nil // in the meantime, another connection has received the piece
	}
	limited, timer := j.client.limitReply(ctx, cancel)
	defer timer.Stop()
	req, err := j.newRequest(limited, c.url)
	if err != nil {
		return c.from(j.fail("make the request", err))
	}
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", from, end-1))
	req.Header.Set("If-Range", j.part.state.validator())
	client := j.client.pieces
	if req.URL.Scheme == "http" {
		client = j.client.http // no HTTP/2, and ClientOptions.PerHost counts all connections
	}
	resp, err := j.client.do(client, req)
	if err != nil {
		return c.from(j.failRequest(ctx, "get a reply", err))
	}
	if err := c.check(resp, from, end); err != nil {
		resp.Body.Close()
		return c.from(err)
	}
	timer.Stop()
	c.t.addDigests(sentDigests(resp.Header, false))
	c.accepted, c.refusals = true, 0
	if !c.t.pieces.accept(p) {
		resp.Body.Close()
		return nil
	}
	return c.receive(p, &reply{ctx: ctx, cancel: cancel, resp: resp, from: from, end: end})
}

// from sets the URL of an error.
func (c *connection) from(e *Error) *Error {
	e.URL = SafeURL(c.t.j.urls[c.url])
	return e
}

// check checks the header of a reply to a request for a piece.
func (c *connection) check(resp *http.Response, from, end int64) *Error {
	j := c.t.j
	switch resp.StatusCode {
	case http.StatusPartialContent:
		if err := errors.Join(j.part.state.checkPartial(resp, from, end), j.checkUncompressed(resp)); err != nil {
			return j.fail("get a piece", fmt.Errorf("%w: %w", errRefused, err)).again()
		}
		return nil
	case http.StatusOK, http.StatusRequestedRangeNotSatisfiable:
		// The server has another version, or no ranges.
		return j.fail("get a piece", fmt.Errorf("%w: it replied %q", errRefused, resp.Status)).again()
	case http.StatusForbidden, http.StatusTooManyRequests, http.StatusServiceUnavailable:
		// Servers send these statuses if they limit the connections of a
		// client. If a server has accepted this connection before, it may
		// still count the previous request.
		e := j.failStatus(resp).again()
		e.rangeOnly = false
		if !c.accepted {
			e.Err = fmt.Errorf("%w: %w", errRefused, e.Err)
		}
		return e
	}
	return j.failStatus(resp)
}

// receive compares and writes the bytes of a piece. It closes the body.
func (c *connection) receive(p *piece, r *reply) *Error {
	defer r.resp.Body.Close()
	t, part := c.t, c.t.j.part
	b := &body{job: t.j, ctx: r.ctx, r: r.resp.Body}
	defer b.watch(r.cancel)()
	buf, put := getBuffer(-1)
	defer put()
	check, next := t.pieces.positions(p)
	if check < next {
		_, err := b.compare(part.file, check, next, func(at int64) {
			if c.first {
				t.uncompared.Store(next - at)
			}
			t.progress()
		})
		if c.first {
			t.uncompared.Store(0)
		}
		if err != nil {
			if e := c.compareFailed(err); e != nil {
				return e
			}
			return c.failed(r, next, err)
		}
	}
	for rest := t.pieces.advance(p, 0); rest > 0; {
		n, err := b.Read((*buf)[:min(rest, int64(len(*buf)))])
		if n > 0 {
			if _, err := part.file.WriteAt((*buf)[:n], next); err != nil {
				e := t.j.failWrite("write the partial file of "+t.j.Name, err)
				t.abort(e)
				return e
			}
			if c.first && next == t.hashed {
				t.hashes.Write((*buf)[:n])
				t.hashed += int64(n)
			}
			next += int64(n)
			c.bytes += int64(n)
			ends := int64(n) == rest
			if ends { // before all pieces are complete
				t.comparing.Add(1)
			}
			rest = t.pieces.advance(p, int64(n))
			if ends && rest > 0 {
				t.comparing.Add(-1)
			} else if ends {
				defer t.comparing.Add(-1)
			}
			t.progress()
		}
		if rest > 0 && err == nil {
			err = r.ctx.Err() // if the body arrived before ctx ended, Read returns no error
		}
		if rest > 0 && err != nil {
			return c.failed(r, next, err)
		}
	}
	if next < r.end {
		return c.compareNext(b, next, r.end) // the rest of the body is another piece
	}
	// The client can only use a connection again if its body was read to the
	// end.
	if n, _ := b.Read((*buf)[:1]); n > 0 {
		e := c.from(t.j.fail("receive", errLonger).again())
		t.abort(e)
		return e
	}
	return nil
}

// compareNext compares the bytes after the end of a piece, up to the end of the
// body, with the bytes that another connection has received or will receive. So
// Get notices a server that sends wrong bytes for a range, or replaces the
// file. If the connection breaks, compareNext returns nil, because the piece is
// complete.
func (c *connection) compareNext(b *body, at, end int64) *Error {
	end = min(end, at+maxRecheck)
	if at+c.t.pieces.following(at) < end {
		next := make([]byte, end-at)
		if _, err := io.ReadFull(b, next); err == nil {
			c.t.compareLater(at, next)
		}
		return nil
	}
	_, err := b.compare(c.t.j.part.file, at, end, nil)
	return c.compareFailed(err)
}

// compareFailed handles an error of a comparison. If the part is damaged or
// cannot be read, compareFailed stops all connections and returns an error.
// For other errors, it returns nil.
func (c *connection) compareFailed(err error) *Error {
	var e *Error
	switch {
	case errors.Is(err, errDamaged):
		e = c.from(c.t.j.fail("continue", err).again())
	case errors.Is(err, errReadFile):
		e = c.from(c.t.j.fail("continue", err))
	default:
		return nil
	}
	c.t.abort(e)
	return e
}

// failed returns the error of a body that ended at a position.
func (c *connection) failed(r *reply, position int64, err error) *Error {
	e := c.from(c.t.j.failRequest(r.ctx, fmt.Sprintf("receive, after byte %d", position), unexpected(err)))
	if errors.Is(e, errStalled) && r.silent != nil {
		r.silent()
	}
	return e
}

// piecesClient returns the client for the further connections of a file. It
// does not use HTTP/2, which would send all requests on one connection.
func (c *Client) piecesClient(t *http.Transport) http.Client {
	if c.opts.HTTP1 {
		return c.http
	}
	t = t.Clone()
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP1(true)
	t.ForceAttemptHTTP2, t.HTTP2 = false, nil
	t.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	t.TLSClientConfig.NextProtos = nil
	c.transports = append(c.transports, t)
	client := c.http
	client.Transport = t
	if c.opts.Wrap != nil {
		client.Transport = c.opts.Wrap(t)
	}
	return client
}
