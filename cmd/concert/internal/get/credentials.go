package get

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
)

// credentials returns the function that finds the user and the password for a
// host. They are from --auth for the host of the URLs, and from netrc for
// other hosts.
func credentials(auth string, list []*wanted) (func(host string) (user, password string, ok bool), error) {
	machines, err := readNetrc()
	if err != nil {
		return nil, err
	}
	var user, password, authHost string
	if auth != "" {
		if user, password, err = parseAuth(auth); err != nil {
			return nil, fmt.Errorf("--auth: %w", err)
		}
		var other string
		if authHost, other = twoHosts(list, false); other != "" {
			return nil, fmt.Errorf("--auth: the password would go to several hosts, %s and %s; use netrc, or one command for each host", authHost, other)
		}
	}
	return func(host string) (string, string, bool) {
		if auth != "" && strings.EqualFold(host, authHost) {
			return user, password, true
		}
		m, ok := machines[strings.ToLower(hostname(host))]
		return m.login, m.password, ok && (m.login != "" || m.password != "")
	}, nil
}

// hostname returns a host without its port and without the brackets of IPv6.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return strings.Trim(host, "[]")
}

// parseAuth parses USER:PASSWORD, or the content of the file of @FILE. An error
// does not contain any part of the text, which may be a password.
func parseAuth(text string) (user, password string, err error) {
	if name, isFile := strings.CutPrefix(text, "@"); isFile {
		b, err := os.ReadFile(name)
		if err != nil {
			return "", "", err
		}
		text = strings.TrimRight(string(b), "\r\n")
	}
	user, password, found := strings.Cut(text, ":")
	if !found || strings.ContainsAny(text, "\r\n") {
		return "", "", errors.New("want USER:PASSWORD, or @FILE with a file that has one such line")
	}
	return user, password, nil
}
