package download_test

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"concert/download"
)

// sum returns a digest of the given algorithm.
func sum(algorithm string, b []byte) []byte {
	switch algorithm {
	case "sha256":
		s := sha256.Sum256(b)
		return s[:]
	case "sha384":
		s := sha512.Sum384(b)
		return s[:]
	case "sha512":
		s := sha512.Sum512(b)
		return s[:]
	case "sha1":
		s := sha1.Sum(b)
		return s[:]
	case "md5":
		s := md5.Sum(b)
		return s[:]
	}
	return binary.BigEndian.AppendUint32(nil, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
}

// sentDigests has the headers in which servers send digests.
var sentDigests = []struct{ header, format, algorithm string }{
	{"Repr-Digest", "sha-256=:%s:", "sha256"},
	{"Repr-Digest", "unknown=:AAAA:, sha-512=:%s:;x=1", "sha512"},
	{"Repr-Digest", "sha-384=:%s:", "sha384"},
	{"Repr-Digest", "md5=:%s:", "md5"},
	{"Repr-Digest", "sha=:%s:", "sha1"},
	{"Repr-Digest", "crc32c=:%s:", "crc32c"},
	{"Content-Digest", "sha-256=:%s:", "sha256"},
	{"Content-Digest", "sha-512=:%s:", "sha512"},
	{"Digest", "SHA-256=%s", "sha256"},
	{"Digest", "MD5=x, sha-512=%s", "sha512"},
	{"Digest", "SHA=%s", "sha1"},
	{"Digest", "md5=%s", "md5"},
	{"Digest", "UNIXsum=30637,crc32c=%s", "crc32c"},
	{"Content-MD5", "%s", "md5"},
	{"X-Goog-Hash", "crc32c=%s", "crc32c"},
	{"X-Goog-Hash", "crc32c=n03x6A==x,md5=%s", "md5"},
	{"X-Amz-Checksum-Sha256", "%s", "sha256"},
	{"X-Amz-Checksum-Sha1", "%s", "sha1"},
	{"X-Amz-Checksum-Crc32c", "%s", "crc32c"},
}

// TestGet_SentDigests: Get must verify each digest that the server sends, in a
// header or in a trailer, also for a continued part.
func TestGet_SentDigests(t *testing.T) {
	s := newSite(200_000)
	url := s.open(t)
	for _, c := range sentDigests {
		for _, place := range []string{"header", "trailer", "header of a range"} {
			ofReply := c.header == "Content-Digest" || c.header == "Content-MD5"
			if place == "header of a range" && ofReply {
				continue
			}
			t.Run(c.header+" "+c.algorithm+" "+place, func(t *testing.T) {
				for _, right := range []bool{true, false} {
					of := s.body
					if !right {
						of = s.body[1:]
					}
					want := download.Digest{Algorithm: c.algorithm, Hex: hex.EncodeToString(sum(c.algorithm, of))}
					value := fmt.Sprintf(c.format, base64.StdEncoding.EncodeToString(sum(c.algorithm, of)))
					dir := t.TempDir()
					if place == "header of a range" {
						s.handler = nil
						s.cut = 100_000
						_, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir})
						wantError(t, err, true, "receive")
						s.cut = 0
					}
					s.handler = func(w http.ResponseWriter, r *http.Request) {
						if place != "trailer" {
							w.Header().Set(c.header, value)
							s.send(w, r)
							return
						}
						w.Header().Set("Trailer", c.header)
						w.Write(s.body)
						w.Header().Set(c.header, value)
					}
					got, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir})
					if !right {
						if wantError(t, err, true, "wrong checksum"); !errors.Is(err, download.ErrChecksum) {
							t.Errorf("error = %v, want ErrChecksum", err)
						}
						wantFiles(t, dir)
						continue
					}
					if err != nil || !slices.Equal(got.Digests, []download.Digest{want}) {
						t.Errorf("Get() = %+v, %v; want %v", got, err, want)
					}
					wantWhole(t, dir, s.body)
				}
			})
		}
	}
}

// TestGet_DigestsOfAReply: Content-Digest and Content-MD5 are digests of the
// bytes of the reply. For a reply with a range, Get must not use them as
// digests of the file.
func TestGet_DigestsOfAReply(t *testing.T) {
	s := newSite(200_000)
	dir, url := interrupted(t, s)
	s.handler = func(w http.ResponseWriter, r *http.Request) {
		rest := s.body[100_000-64<<10:]
		w.Header().Set("Content-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(sum("sha256", rest))+":")
		w.Header().Set("Content-MD5", base64.StdEncoding.EncodeToString(sum("md5", rest)))
		s.send(w, r)
	}
	if got, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir}); err != nil || got.Resumed == 0 {
		t.Errorf("Get() = %+v, %v", got, err)
	}
	wantWhole(t, dir, s.body)
}

// TestGet_IgnoredDigests: values that are not the digest of the whole file, or
// no digest at all, must not make Get fail.
func TestGet_IgnoredDigests(t *testing.T) {
	s := newSite(1000)
	url := s.open(t)
	for header, value := range map[string]string{
		"X-Amz-Checksum-Sha256": base64.StdEncoding.EncodeToString(sum("sha256", nil)) + "-3", // of an object of 3 parts
		"Repr-Digest":           "sha-256=:%%%:, sha-512=::, md5, =, sha-256=:AAAA:",
		"Digest":                "SHA-256=",
		"Content-MD5":           "none",
		"X-Goog-Hash":           ",,,",
	} {
		s.handler = func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set(header, value)
			s.send(w, r)
		}
		dir := t.TempDir()
		if got, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir}); err != nil || len(got.Digests) != 0 {
			t.Errorf("%s: Get() = %+v, %v", header, got, err)
		}
		wantWhole(t, dir, s.body)
	}
}

// TestGet_RequestedDigests: the file must have all the digests of the request.
func TestGet_RequestedDigests(t *testing.T) {
	s := newSite(200_000)
	url := s.open(t)
	for _, algorithm := range []string{"sha256", "sha384", "sha512", "sha1", "md5", "crc32c"} {
		t.Run(algorithm, func(t *testing.T) {
			for _, right := range []bool{true, false} {
				for _, resume := range []bool{true, false} {
					s.handler = nil
					dir := t.TempDir()
					if resume {
						s.cut = 100_000
						_, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir})
						wantError(t, err, true, "receive")
						s.cut = 0
					}
					of := s.body
					if !right {
						of = nil
					}
					d := download.Digest{Algorithm: algorithm, Hex: strings.ToUpper(hex.EncodeToString(sum(algorithm, of)))}
					got, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir, Digests: []download.Digest{sha256Of(s.body), d}})
					if right {
						if err != nil || len(got.Digests) != 2 || (got.Resumed > 0) != resume {
							t.Errorf("Get() = %+v, %v", got, err)
						}
						wantWhole(t, dir, s.body)
					} else if wantError(t, err, true, "wrong checksum"); !errors.Is(err, download.ErrChecksum) {
						t.Errorf("error = %v", err)
					}
				}
			}
		})
	}
}

// TestGet_AnnouncedDigest: if the digest that the server announces differs
// from the digest of the request, Get must fail before it receives the body.
func TestGet_AnnouncedDigest(t *testing.T) {
	s := newSite(1000)
	s.handler = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Repr-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(sum("sha256", s.body))+":")
		s.send(w, r)
	}
	dir := t.TempDir()
	_, err := newClient(t, download.ClientOptions{}).Get(t.Context(), download.Request{URL: s.open(t), Dir: dir, Digests: []download.Digest{sha256Of(nil)},
		OnEvent: func(e download.Event) {
			if e.Kind == download.EventProgress {
				t.Error("Get received the body")
			}
		}})
	if wantError(t, err, false, "announces"); !errors.Is(err, download.ErrChecksum) || s.count() != 1 {
		t.Errorf("error = %v after %d requests", err, s.count())
	}
	wantFiles(t, dir)
}

// TestGet_DigestOfNewFile: if the server has replaced the file and kept its
// validator, and announces the digest of the new file, Get must start again.
func TestGet_DigestOfNewFile(t *testing.T) {
	for _, ranges := range []bool{true, false} {
		for _, connections := range []int{1, 4} {
			t.Run(fmt.Sprintf("ranges %v, %d connections", ranges, connections), func(t *testing.T) {
				s := newSite(5_000_000)
				s.handler = func(w http.ResponseWriter, r *http.Request) {
					if !ranges {
						r.Header.Del("Range")
					}
					w.Header().Set("Accept-Ranges", "bytes")
					w.Header().Set("Repr-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(sum("sha256", s.body))+":")
					s.send(w, r)
				}
				dir, url := interrupted(t, s)
				s.body = content(2, len(s.body))
				client := newClient(t, download.ClientOptions{Retries: 1})
				got, err := client.Get(t.Context(), download.Request{URL: url, Dir: dir, Connections: connections})
				if err != nil || got.Resumed != 0 || got.Attempts != 2 {
					t.Errorf("Get() = %+v, %v; want it started again", got, err)
				}
				wantWhole(t, dir, s.body)
			})
		}
	}
}

func TestParseDigest_Forms(t *testing.T) {
	hex64 := hex.EncodeToString(sum("sha256", nil))
	for _, c := range []struct{ text, want, fault string }{
		{hex64, "sha256=" + hex64, ""},
		{strings.ToUpper(hex64), "sha256=" + hex64, ""},
		{"sha256:" + hex64, "sha256=" + hex64, ""},
		{"SHA-256=" + hex64, "sha256=" + hex64, ""},
		{hex.EncodeToString(sum("sha512", nil)), "sha512=" + hex.EncodeToString(sum("sha512", nil)), ""},
		{hex.EncodeToString(sum("sha384", nil)), "sha384=" + hex.EncodeToString(sum("sha384", nil)), ""},
		{hex.EncodeToString(sum("sha1", nil)), "sha1=" + hex.EncodeToString(sum("sha1", nil)), ""},
		{hex.EncodeToString(sum("md5", nil)), "md5=" + hex.EncodeToString(sum("md5", nil)), ""},
		{"crc32c=00000000", "crc32c=00000000", ""},
		{"00000000", "", "no algorithm"},
		{"", "", "no algorithm"},
		{"sha3=" + hex64, "", "unknown digest algorithm"},
		{"sha256=" + hex64[:62], "", "64 hexadecimal digits"},
		{strings.Repeat("z", 64), "", "hexadecimal digits"},
	} {
		d, err := download.ParseDigest(c.text)
		if c.fault == "" && (err != nil || d.String() != c.want) || c.fault != "" && (err == nil || !strings.Contains(err.Error(), c.fault)) {
			t.Errorf("ParseDigest(%q) = %v, %v; want %q %q", c.text, d, err, c.want, c.fault)
		}
	}
}

// TestGet_DigestOfFirstReply has a server that sends a digest with the whole
// file, and another file with the same entity tag for the rest.
func TestGet_DigestOfFirstReply(t *testing.T) {
	for _, connections := range []int{1, 4} {
		for _, again := range []bool{false, true} {
			s := &site{body: content(1, 6<<20), tag: `"one"`, cut: 2 << 20}
			wrong := bytes.Clone(s.body)
			wrong[5<<20]++
			sum := sha256.Sum256(s.body)
			s.handler = func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Range") == "" {
					w.Header().Set("Repr-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(sum[:])+":")
					s.send(w, r)
					return
				}
				other := &site{body: wrong, tag: s.tag}
				other.send(w, r)
			}
			dir, retries := t.TempDir(), 1
			if again {
				retries = -1
			}
			client := newClient(t, download.ClientOptions{RetryDelay: time.Millisecond, Retries: retries})
			request := download.Request{URL: s.open(t), Dir: dir, Connections: connections}
			_, err := client.Get(t.Context(), request)
			if again {
				_, err = client.Get(t.Context(), request)
			}
			if !errors.Is(err, download.ErrChecksum) {
				t.Errorf("%d connections, again %v: %v; want ErrChecksum", connections, again, err)
			}
		}
	}
}
