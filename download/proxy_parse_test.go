package download

import (
	"strings"
	"testing"
)

// TestParseProxy_NoSecret: an error must not contain a piece of the password.
func TestParseProxy_NoSecret(t *testing.T) {
	for _, s := range []string{"http://user:pa/ss@host:1", "http://user:secret%@host", "user:pass://host", "http://", "ftp://user:secret@host", "http://h:port"} {
		t.Run(s, func(t *testing.T) {
			_, err := ParseProxy(s)
			if err == nil {
				t.Fatal("no error")
			}
			for _, secret := range []string{`"`, "secret", "pass@", "pa\"", "user"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("%v contains %q", err, secret)
				}
			}
		})
	}
	if u, err := ParseProxy("proxy:3128"); err != nil || u.String() != "http://proxy:3128" {
		t.Errorf("ParseProxy(proxy:3128) = %v, %v", u, err)
	}
}
