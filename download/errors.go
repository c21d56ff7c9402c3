package download

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Error is the error of a Get.
type Error struct {
	URL    string // the URL, without secrets
	Op     string // the operation that failed
	Status int    // the status of the reply, if the status is the error; otherwise 0
	Body   string // the first line of the body of such a reply, if the body is text
	Err    error  // the reason
	Kept   int64  // the number of bytes that are kept for the next Get

	temporary   bool
	unreachable bool
	retryAfter  time.Duration
	rangeOnly   bool // whether a request for the whole file may succeed
}

// Error returns the operation, the URL and the reason.
func (e *Error) Error() string {
	text := fmt.Sprintf("download: %s: cannot %s: %v", e.URL, e.Op, e.Err)
	if e.Body != "" {
		text += ": " + e.Body
	}
	return text
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Temporary reports whether a retry may succeed. It is true after a failed
// connection, a timeout, a short or wrong body, and a status such as 429 or
// 503. Other errors are not temporary, such as a full disk, a missing page, a
// certificate that is not valid, or an ended context. Get has already made the
// retries of ClientOptions.Retries.
func (e *Error) Temporary() bool { return e.temporary }

// Unreachable reports whether the host of the URL could not be reached at all.
// After a redirect to a host that cannot be reached, it reports false.
func (e *Error) Unreachable() bool { return e.unreachable }

// RetryAfter returns the time for which the server asked the client to wait,
// or 0.
func (e *Error) RetryAfter() time.Duration { return e.retryAfter }

// fail returns an error of this Get that is not temporary.
func (j *job) fail(op string, err error) *Error {
	return &Error{URL: SafeURL(j.url()), Op: op, Err: err}
}

// failWrite returns an error of this Get that occurred when it wrote to the
// directory. If the directory is missing, the error says so.
func (j *job) failWrite(op string, err error) *Error {
	if _, look := os.Stat(j.dir); errors.Is(look, fs.ErrNotExist) {
		err = fmt.Errorf("the directory %s is missing; another program may have removed or renamed it during the download: %w", j.dir, look)
	}
	return j.fail(op, err)
}

// again makes the error temporary.
func (e *Error) again() *Error { e.temporary = true; return e }

// The causes of contexts that Get cancels.
var (
	errNoReply = errors.New("no complete reply")
	errStalled = errors.New("the server stopped sending")
	errSlow    = errors.New("the server sends too slowly")
	errMaxTime = errors.New("the time limit of the download has passed")

	// errTrickles is errStalled for a server that still sends single bytes.
	errTrickles = fmt.Errorf("%w: less than %d bytes", errStalled, minStallBytes)
)

// failRequest returns the error of a request or its body. Errors of the
// network are temporary unless isPermanent is true for them. This includes
// errors of HTTP/2 and damaged replies. An error of reading the file that is
// compared with the body is not an error of the network.
func (j *job) failRequest(ctx context.Context, op string, err error) *Error {
	if errors.Is(err, errReadFile) {
		return j.fail(op, err)
	}
	if cause := context.Cause(ctx); errors.Is(cause, errNoReply) || errors.Is(cause, errStalled) || errors.Is(cause, errSlow) {
		return j.fail(op, cause).again()
	} else if cause != nil {
		return j.fail(op, cause)
	}
	redirected := false
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err // remove the URL, which may contain a secret
		last, parseErr := url.Parse(u.URL)
		redirected = parseErr == nil && last.Host != j.url().Host
	}
	if strings.Contains(err.Error(), "failed to parse Location header") {
		err = fmt.Errorf("%w: the header Location is not a URL", errRedirect) // the text of err has the URL
	}
	if strings.Contains(err.Error(), "timeout awaiting response headers") {
		err = fmt.Errorf("no reply within %v", j.client.opts.Header)
	}
	e := j.fail(op, err)
	if network, ok := errors.AsType[*net.OpError](err); ok && network.Op == "dial" {
		e.Op, e.unreachable = "connect", !redirected
	}
	e.temporary = !isPermanent(err)
	return e
}

// isPermanent reports whether an error of a request is certain to occur again.
func isPermanent(err error) bool {
	if errors.Is(err, errRedirect) || errors.Is(err, errProxy) {
		return true
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return dns.IsNotFound
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	text := err.Error()
	return strings.Contains(text, "unsupported protocol scheme") || strings.Contains(text, "server gave HTTP response to HTTPS client") ||
		strings.Contains(text, "unknown certificate authority")
}

// failStatus returns the error of a reply with a status other than success.
func (j *job) failStatus(resp *http.Response) *Error {
	status := shorten(resp.Status)
	e := j.fail("get it", fmt.Errorf("the server replied %q", status))
	if final := resp.Request.URL; final.Host != j.url().Host {
		e.Err = fmt.Errorf("the server of the redirect to %s replied %q", SafeURL(final), status)
	}
	e.Status, e.Body = resp.StatusCode, firstLine(resp)
	now, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		now = time.Now() // otherwise the clock of the server counts
	}
	after := retryAfter(resp.Header.Get("Retry-After"), now)
	switch s := resp.StatusCode; {
	case s == 408 || s == 425 || s == 429 || s == 500 || s == 502 || s == 503 || s == 504 || s >= 520 && s <= 530:
		e.temporary, e.retryAfter = true, after
	case after > 0 && (s == http.StatusForbidden || s == http.StatusAccepted): // the rate limit of GitHub; a file that the server is preparing
		e.temporary, e.retryAfter = true, after
	case s == 400 || s == 403 || s == 405 || s == 406 || s == 412 || s == 416 || s == 501: // servers and filters that do not permit ranges
		e.rangeOnly = resp.Request.Header.Get("Range") != ""
	}
	return e
}

// maxFirstLine is the maximum number of characters of Error.Body.
const maxFirstLine = 200

// firstLine returns the text for Error.Body. For plain text and XML, it
// returns the first line that is not empty and does not begin with <?xml. For
// JSON, it returns the beginning as one line. For any other body, it returns
// "".
func firstLine(resp *http.Response) string {
	kind := resp.Header.Get("Content-Type")
	isJSON := strings.Contains(kind, "json")
	if !isJSON && !strings.HasPrefix(kind, "text/plain") && !strings.Contains(kind, "xml") {
		return ""
	}
	b, _ := io.ReadAll(io.LimitReader(resp.Body, 8*maxFirstLine))
	text := strings.ToValidUTF8(string(b), "")
	if !isJSON {
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "<?xml") {
				text = line
				break
			}
		}
	}
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.Join(strings.Fields(text), " "))
	return shorten(text)
}

// shorten returns the first maxFirstLine characters of a text.
func shorten(text string) string {
	if r := []rune(text); len(r) > maxFirstLine {
		return string(r[:maxFirstLine]) + "..."
	}
	return text
}

// retryAfter parses the header Retry-After, in seconds or as a date (RFC 9110,
// section 10.2.3). It returns 0 if the header is invalid or the date is in the
// past.
func retryAfter(s string, now time.Time) time.Duration {
	if n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 32); err == nil {
		return max(0, time.Duration(n)*time.Second)
	}
	if s = strings.TrimSpace(s); s != "" && strings.Trim(s, "0123456789") == "" {
		return math.MaxInt32 * time.Second // more than 32 bits
	}
	if at, err := http.ParseTime(s); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
