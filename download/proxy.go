package download

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
)

// errProxy is wrapped by the error for an invalid URL of a proxy.
var errProxy = errors.New("invalid proxy")

// ProxyFromEnvironment returns the proxy for a request as
// [http.ProxyFromEnvironment] does. But if an environment variable is not a
// valid proxy, it returns an error, because a direct request would bypass the
// proxy.
func ProxyFromEnvironment(req *http.Request) (*url.URL, error) {
	if err := checkEnvironment(); err != nil {
		return nil, err
	}
	return http.ProxyFromEnvironment(req)
}

var checkEnvironment = sync.OnceValue(func() error {
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"} {
		if _, err := ParseProxy(os.Getenv(name)); err != nil {
			return fmt.Errorf("%w in the environment variable %s: %w", errProxy, name, err)
		}
	}
	return nil
})

// ParseProxy parses the URL of a proxy, with the scheme http, https, socks5 or
// socks5h. The default scheme is http. The error contains no part of the URL,
// because any part may be a piece of a password. For an empty text, ParseProxy
// returns nil.
func ParseProxy(s string) (*url.URL, error) {
	if s == "" {
		return nil, nil
	}
	if !strings.Contains(s, "://") {
		s = "http://" + s
	}
	u, err := url.Parse(s)
	if err != nil {
		return nil, errors.New("it is not a URL; write http://HOST:PORT, and write / : @ # and % in a password as %2F %3A %40 %23 and %25")
	}
	switch u.Scheme {
	case "http", "https", "socks5", "socks5h":
	default:
		return nil, errors.New("its scheme is none of http, https, socks5 and socks5h")
	}
	if u.Host == "" {
		return nil, errors.New("it has no host")
	}
	return u, nil
}
