package download

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"net/http"
	"slices"
	"strings"
)

// Digest is the digest of a whole file. Get verifies the digests of the
// request, and all digests that the server sends, in a header or a trailer:
// Repr-Digest and Content-Digest (RFC 9530), Digest (RFC 3230), Content-MD5,
// x-goog-hash, and x-amz-checksum-sha256 and its relatives. The algorithms md5,
// sha1 and crc32c detect accidental damage, but not a forgery.
type Digest struct {
	Algorithm string // "sha256", "sha512", "sha384", "sha1", "md5" or "crc32c"
	Hex       string // the value in hexadecimal
}

// algorithms maps names to hash functions. The names in upper case are the
// ones in the standards.
var algorithms = map[string]func() hash.Hash{
	"sha256": sha256.New,
	"sha384": sha512.New384,
	"sha512": sha512.New,
	"sha1":   sha1.New,
	"md5":    md5.New,
	"crc32c": func() hash.Hash { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) },
}

// ParseDigest parses a digest: hexadecimal digits, optionally after the name
// of the algorithm and "=" or ":". Without a name, the number of digits selects
// the algorithm: 64 for sha256, 96 for sha384, 128 for sha512, 40 for sha1 and
// 32 for md5.
func ParseDigest(s string) (Digest, error) {
	name, value := "", s
	if i := strings.IndexAny(s, "=:"); i >= 0 {
		name, value = s[:i], s[i+1:]
	}
	d := Digest{canonical(name), strings.ToLower(value)}
	if name == "" {
		for a, newHash := range algorithms {
			if a != "crc32c" && len(value) == 2*newHash().Size() {
				d.Algorithm = a
			}
		}
		if d.Algorithm == "" {
			return Digest{}, fmt.Errorf("download: %q is not a digest: no algorithm has a value of %d digits", s, len(value))
		}
	}
	return d, d.check()
}

// canonical returns the name of an algorithm without dashes and in lower case.
func canonical(name string) string {
	name = strings.ReplaceAll(strings.ToLower(name), "-", "")
	if name == "sha" {
		return "sha1"
	}
	return name
}

// String returns the algorithm and the value, as in "sha256=e3b0c4...".
func (d Digest) String() string { return d.Algorithm + "=" + d.Hex }

// check returns an error unless the digest can be compared.
func (d Digest) check() error {
	newHash, known := algorithms[d.Algorithm]
	if !known {
		return fmt.Errorf("download: unknown digest algorithm %q; use sha256, sha384, sha512, sha1, md5 or crc32c", d.Algorithm)
	}
	if b, err := hex.DecodeString(d.Hex); err != nil || len(b) != newHash().Size() {
		return fmt.Errorf("download: %q is not a %s digest, which has %d hexadecimal digits", d.Hex, d.Algorithm, 2*newHash().Size())
	}
	return nil
}

// sentDigests returns the digests of the whole file that a header or a trailer
// contains. Content-Digest and Content-MD5 are digests of the bytes of the
// reply, so sentDigests uses them only if the reply has the whole file.
func sentDigests(h http.Header, whole bool) (all []Digest) {
	add := func(algorithm, base64Value string) {
		if base64Value == "" {
			return
		}
		d := Digest{Algorithm: canonical(algorithm)}
		b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(base64Value))
		d.Hex = hex.EncodeToString(b)
		if err == nil && d.check() == nil && !slices.Contains(all, d) {
			all = append(all, d)
		}
	}
	pairs := func(header string, structured bool) {
		if len(h[header]) == 0 {
			return
		}
		for _, entry := range strings.Split(strings.Join(h.Values(header), ","), ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(entry), "=")
			if structured { // a dictionary of RFC 8941: sha-256=:...:;parameters
				value, _, _ = strings.Cut(value, ";")
				inner, begins := strings.CutPrefix(value, ":")
				inner, ends := strings.CutSuffix(inner, ":")
				if !begins || !ends {
					continue
				}
				value = inner
			}
			add(name, value)
		}
	}
	pairs("Repr-Digest", true)
	pairs("Digest", false)
	if h.Get("X-Goog-Stored-Content-Encoding") == h.Get("Content-Encoding") || h.Get("X-Goog-Stored-Content-Encoding") == "identity" {
		pairs("X-Goog-Hash", false) // otherwise the header has the hash of the object before its decompression
	}
	for _, a := range [][2]string{{"sha256", "X-Amz-Checksum-Sha256"}, {"sha1", "X-Amz-Checksum-Sha1"}, {"crc32c", "X-Amz-Checksum-Crc32c"}} {
		// The checksum of an object that was uploaded in several parts ends
		// with "-" and the number of parts. It is not the checksum of the
		// bytes.
		add(a[0], h.Get(a[1]))
	}
	if whole {
		pairs("Content-Digest", true)
		add("md5", h.Get("Content-Md5"))
	}
	return all
}

// hashes computes several digests of the same bytes.
type hashes map[string]hash.Hash

// newHashes returns the hash functions for the given digests.
func newHashes(digests []Digest) hashes {
	h := make(hashes)
	for _, d := range digests {
		if h[d.Algorithm] == nil {
			h[d.Algorithm] = algorithms[d.Algorithm]()
		}
	}
	return h
}

// Write adds bytes. It never fails.
func (h hashes) Write(b []byte) (int, error) {
	for _, f := range h {
		f.Write(b)
	}
	return len(b), nil
}

// covers reports whether h has the algorithms of all the digests.
func (h hashes) covers(digests []Digest) bool {
	return !slices.ContainsFunc(digests, func(d Digest) bool { return h[d.Algorithm] == nil })
}

// verify returns a ChecksumError for the first digest that differs.
func (h hashes) verify(digests []Digest) error {
	for _, want := range digests {
		if got := hex.EncodeToString(h[want.Algorithm].Sum(nil)); !strings.EqualFold(got, want.Hex) {
			return &ChecksumError{Digest{want.Algorithm, got}, want, false}
		}
	}
	return nil
}

// conflict returns an error if two digests of the same algorithm differ.
func conflict(sent, wanted []Digest) error {
	for _, s := range sent {
		for _, w := range wanted {
			if s.Algorithm == w.Algorithm && !strings.EqualFold(s.Hex, w.Hex) {
				return &ChecksumError{s, w, true}
			}
		}
	}
	return nil
}

// ErrChecksum is wrapped by the error of Get if the file does not have the
// right digest, or if the server announces another digest before it sends the
// file.
var ErrChecksum = errors.New("download: wrong checksum")

// ChecksumError is the [ErrChecksum] of a digest.
type ChecksumError struct {
	Got, Want Digest
	Announced bool // whether Got is the digest that the server announces before it sends the file
}

// Error returns both digests.
func (e *ChecksumError) Error() string {
	if e.Announced {
		return fmt.Sprintf("the server announces the checksum %s, want %s", e.Got, e.Want)
	}
	return fmt.Sprintf("wrong checksum %s, want %s", e.Got, e.Want)
}

// Is reports whether target is ErrChecksum.
func (e *ChecksumError) Is(target error) bool { return target == ErrChecksum }
