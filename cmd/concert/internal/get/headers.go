package get

import (
	"bufio"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// ownHeaders are the headers that a download sets itself. If the user could
// change them, the download might not receive the whole file.
var ownHeaders = []string{
	"Accept-Encoding", "Connection", "Content-Length", "If-Match", "If-Modified-Since", "If-None-Match", "If-Range",
	"If-Unmodified-Since", "Keep-Alive", "Proxy-Authorization", "Range", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// secretWords are the words in the names of headers that identify a user to one
// host, such as Authorization or X-Api-Key.
var secretWords = []string{"auth", "cookie", "credential", "key", "password", "secret", "session", "token"}

// isSecret reports whether a header looks like a secret, by its name.
func isSecret(header string) bool {
	header = strings.ToLower(header)
	return slices.ContainsFunc(secretWords, func(word string) bool { return strings.Contains(header, word) })
}

// readHeaders parses the values of -H and --user-agent. An error does not
// contain the value of a header, because the value may be a secret.
func readHeaders(values []string, userAgent string) (http.Header, error) {
	h := http.Header{}
	for _, v := range values {
		name, isFile := strings.CutPrefix(v, "@")
		if !isFile {
			if err := addHeader(h, v); err != nil {
				return nil, fmt.Errorf("-H: %w", err)
			}
			continue
		}
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("-H: %w", err)
		}
		defer f.Close()
		lines := bufio.NewScanner(f)
		for n := 1; lines.Scan(); n++ {
			if text := strings.TrimSpace(lines.Text()); text != "" {
				if err := addHeader(h, text); err != nil {
					return nil, fmt.Errorf("-H: %s:%d: %w", name, n, err)
				}
			}
		}
		if err := lines.Err(); err != nil {
			return nil, fmt.Errorf("-H: cannot read %s: %w", name, err)
		}
	}
	if userAgent != "" {
		if !httpguts.ValidHeaderFieldValue(userAgent) {
			return nil, fmt.Errorf("--user-agent: %q has characters that a header cannot have", userAgent)
		}
		h.Set("User-Agent", userAgent)
	}
	return h, nil
}

// addHeader adds a header of the form "Name: value".
func addHeader(h http.Header, text string) error {
	name, value, found := strings.Cut(text, ":")
	name, value = strings.TrimSpace(name), strings.TrimSpace(value)
	switch {
	case !found:
		return fmt.Errorf("want a header of the form 'Name: value'")
	case !httpguts.ValidHeaderFieldName(name):
		return fmt.Errorf("%q is not the name of a header", name)
	case !httpguts.ValidHeaderFieldValue(value):
		return fmt.Errorf("the value of %s has characters that a header cannot have", name)
	case slices.Contains(ownHeaders, http.CanonicalHeaderKey(name)):
		return fmt.Errorf("the header %s cannot be set, because the download needs it itself", name)
	}
	h.Add(name, value)
	return nil
}

// checkSecretHeaders returns an error if a header that identifies the user
// would go to several hosts.
func checkSecretHeaders(h http.Header, list []*wanted) error {
	a, b := twoHosts(list, true)
	if b == "" {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(h)) {
		if !isSecret(name) || strings.Join(h[name], "") == "" {
			continue
		}
		advice := "use one command for each host"
		if name == "Authorization" || name == "Cookie" {
			advice = "use netrc or --cookies, or one command for each host"
		}
		return fmt.Errorf("-H: the header %s looks like a secret, and would go to several hosts, %s and %s; %s", name, a, b, advice)
	}
	return nil
}

// twoHosts returns two different hosts of a list. If there is only one, the
// second result is empty.
func twoHosts(list []*wanted, mirrors bool) (a, b string) {
	for _, w := range list {
		hosts := []string{w.host}
		if mirrors {
			hosts = w.hosts()
		}
		for _, h := range hosts {
			if a == "" {
				a = h
			}
			if !strings.EqualFold(h, a) {
				return a, h
			}
		}
	}
	return a, ""
}
