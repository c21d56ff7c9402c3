package cluster

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
)

// schemes are those of the servers' URLs.
var schemes = []string{"nats", "tls", "ws", "wss"}

// checkURLs returns an error if what names the servers is no list of URLs. What is wrong may be in a password, so it does not say what.
func checkURLs(list string) error {
	if list == "" {
		return nil
	}
	for _, one := range strings.Split(list, ",") {
		one = strings.TrimSpace(one)
		if !strings.Contains(one, "://") {
			one = "nats://" + one
		}
		u, err := url.Parse(one)
		if err != nil || u.Hostname() == "" || !slices.Contains(schemes, u.Scheme) || strings.Contains(one, "@") != (u.User != nil) {
			return fmt.Errorf("cluster: %s is no URL like nats://host:4222, or several with commas between them; in a password signs like / and , are written %%2F and %%2C", redacted(list))
		}
	}
	return nil
}

// redacted is a list of URLs without what may be a password in it, which is all before the last @.
func redacted(list string) string {
	if list == "" {
		return nats.DefaultURL
	}
	at := strings.LastIndexByte(list, '@')
	if at < 0 {
		return list
	}
	scheme, _, ok := strings.Cut(list[:at], "://")
	if !ok || !slices.Contains(schemes, scheme) {
		return "..." + list[at:]
	}
	return scheme + "://..." + list[at:]
}
