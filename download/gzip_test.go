package download_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"net/http"
	"testing"

	"concert/download"
)

func compressed(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	z.Write(b)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestGet_Compressed: if the server compresses the file without being asked,
// Get must store the file, and not the compressed bytes.
func TestGet_Compressed(t *testing.T) {
	plain := bytes.Repeat([]byte("some text, "), 200_000)
	packed := compressed(t, plain)
	damaged := bytes.Clone(packed)
	damaged[len(damaged)-6]++ // in the checksum
	for _, c := range []struct {
		name, file, encoding string
		body, want           []byte // want is nil if Get must fail
		digest               []byte // the bytes whose digest is in Repr-Digest: the bytes of the body as they are sent
		text                 string
	}{
		{"gzip", "file.bin", "gzip", packed, plain, nil, ""},
		{"x-gzip", "file.bin", "X-GZIP", packed, plain, packed, ""},
		{"identity", "file.bin", "identity", plain, plain, plain, ""},
		{"archive", "file.tar.gz", "gzip", packed, packed, packed, ""},
		{"truncated", "file.bin", "gzip", packed[:len(packed)-20], nil, nil, "unexpected EOF"},
		{"damaged", "file.bin", "gzip", damaged, nil, nil, "checksum"},
		{"wrong digest", "file.bin", "gzip", packed, nil, plain, "wrong checksum"},
		{"not compressed", "file.bin", "gzip", plain, nil, nil, "decompress"},
		{"brotli", "file.bin", "br", packed, nil, nil, `compressed the file with "br"`},
		{"twice", "file.bin", "gzip, br", packed, nil, nil, "compressed the file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(0)
			s.handler = func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("ETag", `"one"`)
				w.Header().Set("Content-Encoding", c.encoding)
				if c.digest != nil {
					w.Header().Set("Repr-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(sum("sha256", c.digest))+":")
				}
				w.Write(c.body)
			}
			dir := t.TempDir()
			r := download.Request{URL: s.open(t), Dir: dir, Name: c.file}
			if c.want != nil {
				r.Digests = []download.Digest{sha256Of(c.want)}
			}
			_, err := once(t).Get(t.Context(), r)
			if c.want == nil {
				if e, ok := err.(*download.Error); !ok || !bytes.Contains([]byte(err.Error()), []byte(c.text)) || e.Kept != 0 {
					t.Errorf("Get() = %v, want %q", err, c.text)
				}
				wantFiles(t, dir)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			wantContent(t, dir+"/"+c.file, c.want)
			wantFiles(t, dir, c.file)
		})
	}
}
