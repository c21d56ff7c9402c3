package download

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// ErrChecksum is wrapped by the error of Get if the file does not have the
// right checksum, or if the server announces another checksum before it sends
// the file. In the first case the error is temporary. One retry may help,
// because the bytes may have been damaged on their way. More retries rarely
// help.
var ErrChecksum = errors.New("download: wrong checksum")

// checksumError is ErrChecksum with both checksums.
type checksumError struct {
	got, want string
	announced bool // whether got is the checksum that the server announces before it sends the file
}

// Error returns both checksums.
func (e checksumError) Error() string {
	if e.announced {
		return fmt.Sprintf("the server announces the checksum %s, want %s", e.got, e.want)
	}
	return fmt.Sprintf("wrong checksum %s, want %s", e.got, e.want)
}

// Is reports whether target is ErrChecksum.
func (e checksumError) Is(target error) bool { return target == ErrChecksum }

// Error is the error of a Get.
type Error struct {
	URL    string // the URL, without a password
	Op     string // the operation that failed
	Status int    // the status of the reply, if the status is the error; otherwise 0
	Err    error  // the reason

	temporary  bool
	retryAfter time.Duration
}

// Error returns the operation, the URL and the reason.
func (e *Error) Error() string {
	return fmt.Sprintf("download: %s: cannot %s: %v", e.URL, e.Op, e.Err)
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Temporary reports whether a retry may succeed: if the connection failed, if a
// timeout passed, if the body was short or wrong, or after the status 408, 425,
// 429, 500, 502, 503 or 504. Other errors are not temporary, such as a full
// disk, a missing page, or an ended context.
func (e *Error) Temporary() bool { return e.temporary }

// RetryAfter returns how long the server asked the client to wait, or 0.
func (e *Error) RetryAfter() time.Duration { return e.retryAfter }

// fail returns an error of this Get that is not temporary.
func (g *get) fail(op string, err error) *Error {
	return &Error{URL: g.url.Redacted(), Op: op, Err: err}
}

// again makes the error temporary, so that the caller may retry.
func (e *Error) again() *Error { e.temporary = true; return e }

// failRequest returns the error of a request or its body.
func (g *get) failRequest(ctx context.Context, op string, err error) *Error {
	if cause := context.Cause(ctx); cause == errStalled {
		return g.fail(op, fmt.Errorf("%w for %v", errStalled, g.Stall)).again()
	} else if cause != nil {
		return g.fail(op, cause)
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err // remove the URL, which may contain a password
	}
	if network, ok := errors.AsType[*net.OpError](err); ok && network.Op == "dial" {
		op = "connect"
	}
	e := g.fail(op, err)
	switch network, ok := errors.AsType[net.Error](err); {
	case ok:
		dns, isDNS := errors.AsType[*net.DNSError](err)
		e.temporary = !isDNS || !dns.IsNotFound || network.Timeout()
	default: // a broken connection causes one of these two errors
		e.temporary = errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF)
	}
	return e
}

// failStatus returns the error of a reply with a status other than success.
func (g *get) failStatus(resp *http.Response) *Error {
	e := g.fail("get it", fmt.Errorf("the server replied %q", resp.Status))
	e.Status = resp.StatusCode
	switch resp.StatusCode {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		e.temporary = true
		e.retryAfter = retryAfter(resp.Header.Get("Retry-After"), time.Now())
	}
	return e
}

// retryAfter parses the header Retry-After, in seconds or as a date (RFC 9110,
// 10.2.3). It returns 0 if the header is invalid or the date is in the past.
func retryAfter(s string, now time.Time) time.Duration {
	if n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 32); err == nil {
		return max(0, time.Duration(n)*time.Second)
	}
	if at, err := http.ParseTime(s); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
