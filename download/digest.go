package download

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
)

// announcedDigest returns the SHA-256 checksum of the whole file in
// hexadecimal, or "" if the header of the reply has none. Repr-Digest is the
// digest of the whole file. Content-Digest is the digest of the bytes of the
// reply, so it counts only if the reply has the whole file (RFC 9530). Digest
// is the predecessor of the two headers (RFC 3230).
func announcedDigest(resp *http.Response) string {
	if d := structuredDigest(resp.Header.Get("Repr-Digest")); d != "" {
		return d
	}
	if resp.StatusCode == http.StatusOK {
		if d := structuredDigest(resp.Header.Get("Content-Digest")); d != "" {
			return d
		}
	}
	for _, entry := range strings.Split(resp.Header.Get("Digest"), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(entry), "=")
		if strings.EqualFold(name, "sha-256") {
			return fromBase64(value)
		}
	}
	return ""
}

// structuredDigest returns the value of sha-256=:...: in a header with a
// dictionary of RFC 8941.
func structuredDigest(header string) string {
	for _, entry := range strings.Split(header, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(entry), "=")
		if name != "sha-256" {
			continue
		}
		value, _, _ = strings.Cut(value, ";") // removes the parameters of the value
		if inner, ok := strings.CutPrefix(value, ":"); ok {
			if inner, ok = strings.CutSuffix(inner, ":"); ok {
				return fromBase64(inner)
			}
		}
	}
	return ""
}

func fromBase64(s string) string {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil || len(b) != sha256.Size {
		return ""
	}
	return hex.EncodeToString(b)
}

// IsSHA256 reports whether s is a valid value of Request.SHA256: 64
// hexadecimal digits.
func IsSHA256(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == sha256.Size
}

// sum returns the checksum of a file in the directory.
func (g *get) sum(name string) (string, error) {
	f, err := g.root.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
