package get

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"os"

	"golang.org/x/net/http/httpproxy"

	"concert/download"
)

// proxyFor returns the function that finds the proxy for a request. The proxy
// is the value of the flag or, if the flag is not set, from the environment.
// An environment variable that is not a proxy is an error, because a direct
// request would bypass the proxy. The error names the variable, but not its
// value, which may contain a password.
func proxyFor(flag string) (func(*http.Request) (*url.URL, error), error) {
	if flag != "" {
		u, err := download.ParseProxy(flag)
		if err != nil {
			return nil, fmt.Errorf("--proxy: %w", err)
		}
		return http.ProxyURL(u), nil
	}
	for _, name := range []string{"http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"} {
		if _, err := download.ParseProxy(os.Getenv(name)); err != nil {
			return nil, fmt.Errorf("the environment variable %s is not a proxy: %w", name, err)
		}
	}
	config := httpproxy.FromEnvironment()
	all := os.Getenv("all_proxy")
	if all == "" {
		all = os.Getenv("ALL_PROXY")
	}
	if config.HTTPProxy == "" {
		config.HTTPProxy = all
		config.CGI = false // safe: a client of a CGI program can set HTTP_PROXY, but not ALL_PROXY
	}
	if config.HTTPSProxy == "" {
		config.HTTPSProxy = all
	}
	proxy := config.ProxyFunc()
	return func(r *http.Request) (*url.URL, error) { return proxy(r.URL) }, nil
}

// readAuthorities reads the certificate authorities of a PEM file. If there is
// no file, it returns nil, which means the authorities of the system.
func readAuthorities(name string) (*x509.CertPool, error) {
	if name == "" {
		return nil, nil
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("--cacert: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("--cacert: %s has no certificate in the format PEM", name)
	}
	return pool, nil
}
