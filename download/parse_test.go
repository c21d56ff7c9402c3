package download

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

func FuzzContentRange(f *testing.F) {
	for _, s := range []string{"bytes 0-9/10", "bytes 5-9/10", "bytes */10", "bytes 0-9/*", "bytes -1-9/10", "bytes 9223372036854775807-9223372036854775807/1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		first, last, total, ok := parseContentRange(s)
		if !ok {
			return
		}
		if first < 0 || last < first || total <= last {
			t.Errorf("parseContentRange(%q) = %d, %d, %d", s, first, last, total)
		}
		again := fmt.Sprintf("bytes %d-%d/%d", first, last, total)
		if f2, l2, t2, ok := parseContentRange(again); !ok || f2 != first || l2 != last || t2 != total {
			t.Errorf("parseContentRange(%q) = %d, %d, %d, %v", again, f2, l2, t2, ok)
		}
	})
}

func FuzzDigest(f *testing.F) {
	f.Add("sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:", "SHA-256=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=")
	f.Add("sha-256=::", "sha-256")
	f.Fuzz(func(t *testing.T, modern, old string) {
		h := http.Header{}
		h.Set("Repr-Digest", modern)
		h.Set("Digest", old)
		for _, d := range sentDigests(h, true) {
			if d.check() != nil {
				t.Errorf("sentDigests(%q, %q) has %v", modern, old, d)
			}
		}
	})
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"7", "-1", "Fri, 31 Dec 1999 23:59:59 GMT", "99999999999", " 3 "} {
		f.Add(s)
	}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		if d := retryAfter(s, now); d < 0 || strings.TrimSpace(s) == "7" && d != 7*time.Second {
			t.Errorf("retryAfter(%q) = %v", s, d)
		}
	})
}
