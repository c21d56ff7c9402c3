package jet

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
)

// schemes are the schemes of server URLs.
var schemes = []string{"nats", "tls", "ws", "wss"}

// CheckURLs returns an error if list is not a list of server URLs. The error
// does not quote an invalid URL, because any part of it may be a password.
func CheckURLs(list string) error {
	if list == "" {
		return nil
	}
	for _, one := range strings.Split(list, ",") {
		if _, err := parseURL(one); err != nil {
			return fmt.Errorf("cluster: URL of the servers (%s): want one like nats://host:4222, or several with commas between them; in a password, write / as %%2F and , as %%2C", Redacted(list))
		}
	}
	return nil
}

// Redacted returns a list of server URLs without passwords, for output. It
// replaces an invalid URL by "...", because any part of it may be a password.
func Redacted(list string) string {
	if list == "" {
		return nats.DefaultURL
	}
	all := strings.Split(list, ",")
	for i, one := range all {
		if strings.Contains(list, "@") && !strings.Contains(one, "@") { // one may be the rest of a password that contains a comma
			all[i] = "..."
			continue
		}
		u, err := parseURL(one)
		if err != nil {
			all[i] = "..."
			continue
		}
		shown := url.URL{Scheme: u.Scheme, Host: u.Host}
		if u.User != nil {
			shown.Host = "...@" + u.Host
		}
		all[i] = shown.Scheme + "://" + shown.Host
	}
	return strings.Join(all, ",")
}

// parseURL parses one URL of the list.
func parseURL(one string) (*url.URL, error) {
	one = strings.TrimSpace(one)
	if !strings.Contains(one, "://") {
		one = "nats://" + one
	}
	u, err := url.Parse(one)
	if err != nil || u.Hostname() == "" || !slices.Contains(schemes, u.Scheme) || strings.Contains(one, "@") != (u.User != nil) || strings.ContainsAny(one, "?#") {
		return nil, errors.New("not the URL of a server")
	}
	return u, nil
}
