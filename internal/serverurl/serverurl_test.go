package serverurl

import "testing"

func TestRedacted(t *testing.T) {
	for _, c := range []struct{ list, want string }{
		{"", Default},
		{"one.example", "nats://one.example"},
		{"tls://one.example:4222,two.example:4222", "tls://one.example:4222,nats://two.example:4222"},
		{"nats://ann:s3cret@one.example:4222", "nats://...@one.example:4222"},
		{"nats://ann:s3,cret@one.example:4222", "...,nats://...@one.example:4222"},
		{"http://one.example", "..."},
	} {
		t.Run(c.list, func(t *testing.T) {
			if got := Redacted(c.list); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}
