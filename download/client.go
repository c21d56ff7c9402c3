package download

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// ClientOptions tunes NewClient. The zero value, and nil, are ready to use.
type ClientOptions struct {
	// Connect is the maximum time for a connection, and again for its TLS
	// handshake. Zero means 30 seconds.
	Connect time.Duration

	// Header is the maximum time from a request to the header of its reply.
	// Zero means 30 seconds.
	Header time.Duration

	// Stall is the maximum time until the next KiB of the body. Zero means 30
	// seconds, and a negative number means no limit.
	Stall time.Duration

	// MinSpeed is the minimum number of bytes of a body per second, on average
	// over 30 seconds. A slower attempt ends, and the next attempt continues
	// the file. Zero means no minimum.
	MinSpeed int64

	// MaxTime is the maximum time of a Get, retries included. Zero means no
	// limit.
	MaxTime time.Duration

	// Retries is the maximum number of further attempts, without progress,
	// after a temporary error. Zero means 5, and a negative number means none.
	// After a wrong checksum, there is at most one further attempt.
	Retries int

	// RetryDelay is the pause before the second attempt. The pause doubles from
	// attempt to attempt, up to a minute. The length of each pause is random,
	// between half of its nominal length and its nominal length. Zero means one
	// second.
	RetryDelay time.Duration

	// MaxRetryAfter is the maximum pause before a retry that a server can
	// demand. If a server demands a longer pause, and no mirror is left, Get
	// returns the error. Zero means one minute.
	MaxRetryAfter time.Duration

	// PerHost is the maximum number of connections to one host; further
	// requests wait. For https, the additional connections of
	// Request.Connections have a separate limit of the same size. Zero means
	// no limit.
	PerHost int

	// Headers are sent with each request to the host of the URL. After a
	// redirect to another host, only User-Agent and Accept are sent. The
	// default User-Agent is "concert".
	Headers http.Header

	// Credentials returns the user and password for a host, such as
	// "example.com:8080", if the URL has none. Nil means no credentials.
	Credentials func(host string) (user, password string, ok bool)

	// Jar stores the cookies of all downloads. Nil means that each Get keeps
	// its own cookies, and sends them after redirects.
	Jar http.CookieJar

	// Proxy returns the proxy for a request. Nil means the proxies of the
	// environment: see ProxyFromEnvironment.
	Proxy func(*http.Request) (*url.URL, error)

	// RootCAs are the certificate authorities that the client trusts. Nil means
	// the authorities of the system.
	RootCAs *x509.CertPool

	// HTTP1 makes the client not use HTTP/2.
	HTTP1 bool

	// AllowDowngrade permits redirects from https to http.
	AllowDowngrade bool

	// Acquire is called before each attempt, and blocks until the attempt may
	// start. The function that it returns is called after the attempt, with
	// the error of the attempt. Acquire can limit the concurrent downloads: a
	// download holds nothing during the pause between two attempts. The
	// connections of one file count as one. Nil means no limit.
	Acquire func(ctx context.Context, host string) (release func(error), err error)

	// Limit limits the rate. It is called with the number of bytes that have
	// just arrived, and returns the time for which the connection must pause.
	// All connections call it, concurrently. Nil means no limit.
	Limit func(bytes int) (pause time.Duration)

	// Wrap returns the transport that the client uses instead of the given one.
	// NewClient calls it once or twice, because the client has a second
	// transport for Request.Connections.
	Wrap func(http.RoundTripper) http.RoundTripper
}

// Client downloads files. Its method Get may be called concurrently. A client
// keeps connections open for further files from the same host.
type Client struct {
	opts   ClientOptions
	http   http.Client
	pieces http.Client // for the further connections of a file

	transports []*http.Transport // of the two clients, without Wrap
}

var defaultClient = NewClient(nil)

// readBuffer is the size of the buffer of a connection.
const readBuffer = 32 << 10

// NewClient returns a client.
func NewClient(opts *ClientOptions) *Client {
	c := &Client{}
	if opts != nil {
		c.opts = *opts
	}
	o := &c.opts
	setDefault(&o.Connect, 30*time.Second)
	setDefault(&o.Header, 30*time.Second)
	setDefault(&o.Stall, 30*time.Second)
	setDefault(&o.RetryDelay, time.Second)
	o.RetryDelay = max(0, min(o.RetryDelay, maxRetryDelay))
	setDefault(&o.MaxRetryAfter, time.Minute)
	setDefault(&o.Retries, 5)
	if o.Proxy == nil {
		o.Proxy = ProxyFromEnvironment
	}
	dialer := &net.Dialer{Timeout: o.Connect}
	t := &http.Transport{
		Proxy: o.Proxy,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return &watchedConn{Conn: conn}, nil
		},
		TLSHandshakeTimeout:    o.Connect,
		ResponseHeaderTimeout:  o.Header,
		MaxConnsPerHost:        o.PerHost,
		MaxResponseHeaderBytes: 256 << 10,
		// One system call reads the header and the body of a small file.
		ReadBufferSize:      readBuffer,
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     90 * time.Second,
		// If a body is compressed, its length and digest are not those of the
		// file.
		DisableCompression: true,
		ForceAttemptHTTP2:  !o.HTTP1,
		TLSClientConfig:    &tls.Config{RootCAs: o.RootCAs},
		// Many requests share an HTTP/2 connection. A ping detects that it is
		// dead.
		HTTP2: &http.HTTP2Config{SendPingTimeout: o.Header / 2, PingTimeout: o.Header / 2},
	}
	if o.HTTP1 {
		t.Protocols = new(http.Protocols)
		t.Protocols.SetHTTP1(true)
	}
	c.transports = append(c.transports, t)
	c.http.Transport = t
	if o.Wrap != nil {
		c.http.Transport = o.Wrap(t)
	}
	c.http.CheckRedirect = c.checkRedirect
	c.pieces = c.piecesClient(t)
	return c
}

func setDefault[T comparable](option *T, value T) {
	var zero T
	if *option == zero {
		*option = value
	}
}

// Close closes the idle connections of the client.
func (c *Client) Close() {
	for _, t := range c.transports {
		t.CloseIdleConnections()
	}
}

// maxRedirects is the maximum number of redirects for one request.
const maxRedirects = 20

// errRedirect is wrapped by the error of a redirect that the client does not
// follow.
var errRedirect = errors.New("refused redirect")

// checkRedirect decides whether the client follows a redirect. It removes the
// headers that only the host of the URL may receive.
func (c *Client) checkRedirect(next *http.Request, via []*http.Request) error {
	before := via[len(via)-1].URL
	switch {
	case len(via) > maxRedirects:
		return fmt.Errorf("%w: more than %d redirects", errRedirect, maxRedirects)
	case next.URL.Scheme != "http" && next.URL.Scheme != "https":
		return fmt.Errorf("%w: to the scheme %q", errRedirect, next.URL.Scheme)
	case before.Scheme == "https" && next.URL.Scheme == "http" && !c.opts.AllowDowngrade:
		return fmt.Errorf("%w: from https to http, to %s", errRedirect, SafeURL(next.URL))
	}
	if t, ok := next.Context().Value(replyTimerKey{}).(*replyTimer); ok {
		t.Reset(t.limit)
	}
	next.Header.Del("Referer")
	next.URL.User = nil // otherwise Go would send it as credentials
	if !sameOrigin(via[0].URL, next.URL) {
		next.Header.Del("Authorization")
		for name := range c.opts.Headers {
			if !isPublicHeader(name) {
				next.Header.Del(name)
			}
		}
	} else if auth := via[0].Header.Get("Authorization"); auth != "" {
		next.Header.Set("Authorization", auth) // Go removes it after a redirect to another host and back
	}
	return nil
}

// sameOrigin reports whether two URLs have the same scheme, host and port. The
// second URL may have https instead of http if both have no port.
func sameOrigin(a, b *url.URL) bool {
	if !strings.EqualFold(a.Hostname(), b.Hostname()) {
		return false
	}
	if a.Scheme == "http" && b.Scheme == "https" && a.Port() == "" && b.Port() == "" {
		return true
	}
	return a.Scheme == b.Scheme && portOf(a) == portOf(b)
}

func portOf(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	return map[string]string{"http": "80", "https": "443"}[u.Scheme]
}

// newRequest returns a request for the URL with an index.
func (j *job) newRequest(ctx context.Context, index int) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, j.urls[index].String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "concert")
	for name, values := range j.client.opts.Headers {
		if isOwnHeader(name) || !sameOrigin(j.urls[0], j.urls[index]) && !isPublicHeader(name) {
			continue
		}
		req.Header[http.CanonicalHeaderKey(name)] = slices.Clone(values)
		if strings.EqualFold(name, "Host") && len(values) > 0 {
			req.Host = values[0]
		}
	}
	req.Header.Set("Accept-Encoding", "identity")
	if user := j.users[index]; user != nil {
		password, _ := user.Password()
		req.SetBasicAuth(user.Username(), password)
	} else if c := j.client.opts.Credentials; c != nil {
		if name, password, ok := c(req.URL.Host); ok {
			req.SetBasicAuth(name, password)
		}
	}
	return req, nil
}

// isPublicHeader reports whether a header of ClientOptions.Headers is sent to
// all hosts. The other headers are sent to the host of the URL only.
func isPublicHeader(name string) bool {
	name = http.CanonicalHeaderKey(name)
	return name == "User-Agent" || name == "Accept"
}

// isOwnHeader reports whether only Get may set a header of requests. The
// meaning of the reply depends on these headers.
func isOwnHeader(name string) bool {
	switch http.CanonicalHeaderKey(name) {
	case "Range", "If-Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "Accept-Encoding":
		return true
	}
	return false
}

// replyTimerKey is the key of the *replyTimer in the context of a request.
type replyTimerKey struct{}

// replyTimer cancels an attempt if no reply arrives in time. The bodies of
// redirects and of errors must arrive in this time, too. The timeouts of the
// transport do not cover the bodies of redirects and of errors, and the
// handshake of a proxy.
type replyTimer struct {
	*time.Timer
	limit time.Duration
}

// limitReply starts a replyTimer, and returns the context for the request. Each
// redirect starts the timer again.
func (c *Client) limitReply(ctx context.Context, cancel context.CancelCauseFunc) (context.Context, *replyTimer) {
	limit := 2*c.opts.Connect + c.opts.Header // a connection, its TLS handshake, and the reply
	t := &replyTimer{limit: limit}
	t.Timer = time.AfterFunc(limit, func() { cancel(fmt.Errorf("%w within %v", errNoReply, limit)) })
	return context.WithValue(ctx, replyTimerKey{}, t), t
}

// do sends a request, and follows redirects. A server may set a cookie together
// with a redirect, and require this cookie in the next request.
func (c *Client) do(client http.Client, req *http.Request) (*http.Response, error) {
	if client.Jar = c.opts.Jar; client.Jar == nil {
		client.Jar = &lazyJar{}
	}
	return client.Do(req)
}

// lazyJar is a cookie jar for one Get. It creates the jar for the first cookie,
// because most servers set none.
type lazyJar struct {
	jar *cookiejar.Jar // nil before the first cookie
}

// SetCookies stores cookies.
func (l *lazyJar) SetCookies(u *url.URL, cookies []*http.Cookie) {
	if l.jar == nil {
		l.jar, _ = cookiejar.New(nil) // never fails
	}
	l.jar.SetCookies(u, cookies)
}

// Cookies returns the cookies for a URL.
func (l *lazyJar) Cookies(u *url.URL) []*http.Cookie {
	if l.jar == nil {
		return nil
	}
	return l.jar.Cookies(u)
}

// watchedConn is a connection that records when data has arrived.
type watchedConn struct {
	net.Conn
	lastRead atomic.Int64 // in nanoseconds since 1970; 0 before the first read
}

// Read records the time of a successful read.
func (c *watchedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.lastRead.Store(time.Now().UnixNano())
	}
	return n, err
}

// closeIfSilent closes a connection if no data has arrived on it since a given
// time. Without this, further requests would use the same dead HTTP/2
// connection.
func closeIfSilent(conn net.Conn, since time.Time) {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	if w, ok := conn.(*watchedConn); ok && w.lastRead.Load() < since.UnixNano() {
		w.Close()
	}
}
