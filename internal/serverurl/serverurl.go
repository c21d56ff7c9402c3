// Package serverurl checks the URLs of the servers of a cluster, and removes
// passwords from them.
package serverurl

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Default is the URL that is used for an empty list, as in nats.go.
const Default = "nats://127.0.0.1:4222"

// schemes are the schemes of server URLs.
var schemes = []string{"nats", "tls", "ws", "wss"}

// Check returns an error if list is not a list of server URLs. The error
// does not quote an invalid URL, because any part of it may be a password.
func Check(list string) error {
	if list == "" {
		return nil
	}
	for _, one := range strings.Split(list, ",") {
		if _, err := parse(one); err != nil {
			return fmt.Errorf("URL of the servers (%s): want one like nats://host:4222, or several with commas between them; in a password, write / as %%2F and , as %%2C", Redacted(list))
		}
	}
	return nil
}

// Redacted returns a list of server URLs without passwords, for output. It
// replaces an invalid URL by "...", because any part of it may be a password.
func Redacted(list string) string {
	if list == "" {
		return Default
	}
	all := strings.Split(list, ",")
	for i, one := range all {
		if strings.Contains(list, "@") && !strings.Contains(one, "@") { // this part may be the rest of a password that contains a comma
			all[i] = "..."
			continue
		}
		u, err := parse(one)
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

// parse parses one URL of the list.
func parse(one string) (*url.URL, error) {
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
