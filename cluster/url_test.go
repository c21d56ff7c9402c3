package cluster_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"concert/cluster"
	"concert/internal/serverurl"
)

// TestURL_NoPasswordInErrors: whatever is wrong with a URL, the error of Dial
// must not contain the password in the URL.
func TestURL_NoPasswordInErrors(t *testing.T) {
	for _, url := range []string{
		"nats://user:s3cret@127.0.0.1:1", "nats://user:s3cret@127.0.0.1:port", "nats://user:p@s3cret@127.0.0.1:1", "user:s3cret@127.0.0.1:1",
		"nats://user:s3,cret@127.0.0.1:1", "nats://user:s3/cret@127.0.0.1:1", "nats://user:s3#cret@127.0.0.1:1", "nats://user:s3%cret@127.0.0.1:1",
		"nats://user:s3 cret@127.0.0.1:1", "nats://a:s3cret@127.0.0.1:1,nats://b:s3cret@127.0.0.1:2", "http://user:s3cret@127.0.0.1:1", "s3cret://x@y:1",
		"nats://user:s3?cret@127.0.0.1:1", "nats://s3cret@", "nats://user:123@h:s3cret@127.0.0.1:x",
		"nats://user:s3cret%40host:1", "nats://user:s3cret", "nats://user:s3cret@127.0.0.1:1?x=s3cret", "nats://user:s3cret@127.0.0.1:1#s3cret",
	} {
		t.Run(url, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			ex, err := cluster.Dial(ctx, url, nil)
			cancel()
			if err == nil {
				ex.Close()
				t.Errorf("%s: Dial returns no error", url)
				return
			}
			if text := err.Error(); strings.Contains(text, "s3") || strings.Contains(text, "cret@") || strings.Contains(text, "user") {
				t.Errorf("%s: %s", url, text)
			}
		})
	}
}

// TestURL_Default: serverurl.Default, which errors and commands show for an
// empty URL, must be the URL that nats.go uses.
func TestURL_Default(t *testing.T) {
	if serverurl.Default != nats.DefaultURL {
		t.Errorf("%s, want %s", serverurl.Default, nats.DefaultURL)
	}
}

func TestURL_Invalid(t *testing.T) {
	for _, url := range []string{"http://127.0.0.1:1", "nats://", ",", "nats://127.0.0.1:1,", "nats://127.0.0.1:port"} {
		t.Run(url, func(t *testing.T) {
			if _, err := cluster.Dial(t.Context(), url, nil); err == nil || !strings.Contains(err.Error(), "want one like nats://host:4222") {
				t.Errorf("%q: %v", url, err)
			}
		})
	}
}
