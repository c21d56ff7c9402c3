package download_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"concert/download"
)

// content returns the file of the server, which differs for each version.
func content(version, size int) []byte {
	b := make([]byte, size)
	x := uint64(version)*2654435761 + 12345
	for i := range b {
		x = x*6364136223846793005 + 1442695040888963407
		b[i] = byte(x >> 56)
	}
	return b
}

func sum(b []byte) string { s := sha256.Sum256(b); return hex.EncodeToString(s[:]) }

// site is a server with one file and faults. The zero value has no faults.
type site struct {
	mu      sync.Mutex
	body    []byte
	tag     string
	cut     int // if positive, the connection breaks after so many bytes of a body
	handler http.HandlerFunc
	ranges  []string // the header Range of each request; "" if the request has none
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ranges = append(s.ranges, r.Header.Get("Range"))
	if s.handler != nil {
		s.handler(w, r)
		return
	}
	body := s.body
	w.Header().Set("ETag", s.tag)
	first := 0
	if from, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes="); ok && r.Header.Get("If-Range") == s.tag {
		first, _ = strconv.Atoi(strings.TrimSuffix(from, "-"))
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, len(body)-1, len(body)))
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)-first))
	if first > 0 {
		w.WriteHeader(http.StatusPartialContent)
	}
	if s.cut > 0 && s.cut < len(body)-first {
		w.Write(body[first : first+s.cut])
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	w.Write(body[first:])
}

// open starts the server and returns its URL for a file.
func (s *site) open(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return server.URL + "/file.bin"
}

func newSite(size int) *site { return &site{body: content(1, size), tag: `"one"`} }

// files returns the names in a directory.
func files(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// whole fails the test unless the directory contains the right file and nothing
// else.
func whole(t *testing.T, dir string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(filepath.Join(dir, "file.bin"))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("the file has %d bytes, %v; want the %d of the server", len(got), err, len(want))
	}
	if names := files(t, dir); !slices.Equal(names, []string{"file.bin"}) {
		t.Errorf("in the directory are %q", names)
	}
}

// failed fails the test unless err is an *Error that contains text, and
// Temporary returns the given value.
func failed(t *testing.T, err error, temporary bool, text string) *download.Error {
	t.Helper()
	e, ok := errors.AsType[*download.Error](err)
	if !ok || e.Temporary() != temporary || !strings.Contains(err.Error(), text) {
		t.Fatalf("Get() = %v (%T); want an *Error with %q, temporary %v", err, err, text, temporary)
	}
	return e
}

func TestGet_NewFile(t *testing.T) {
	s := newSite(300_000)
	dir := t.TempDir()
	first, last, total := int64(-1), int64(0), int64(0)
	url := s.open(t)
	got, err := download.Get(t.Context(), nil, download.Request{URL: url, Dir: dir, SHA256: strings.ToUpper(sum(s.body)),
		Progress: func(d, of int64) {
			if first < 0 {
				first = d
			}
			last, total = d, of
		}})
	if err != nil {
		t.Fatal(err)
	}
	want := download.Result{Path: filepath.Join(dir, "file.bin"), Size: 300_000, SHA256: sum(s.body)}
	if got != want || first != 0 || last != 300_000 || total != 300_000 {
		t.Errorf("Get() = %+v, progress from %d to %d of %d; want %+v", got, first, last, total, want)
	}
	whole(t, dir, s.body)

	// Now the file exists.
	got, err = download.Get(t.Context(), nil, download.Request{URL: url, Dir: dir, SHA256: sum(s.body)})
	if err != nil || !got.Present || len(s.ranges) != 1 {
		t.Errorf("second Get() = %+v, %v, %d requests; want it present, without a request", got, err, len(s.ranges))
	}
	_, err = download.Get(t.Context(), nil, download.Request{URL: url, Dir: dir})
	failed(t, err, false, "exists")
	_, err = download.Get(t.Context(), nil, download.Request{URL: url, Dir: dir, SHA256: sum(nil)})
	if failed(t, err, false, "exists"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("error = %v, want fs.ErrExist", err)
	}
	s.body = content(2, 10)
	if _, err = download.Get(t.Context(), nil, download.Request{URL: url, Dir: dir, Overwrite: true}); err != nil {
		t.Error(err)
	}
	whole(t, dir, s.body)
}

// TestGet_ConnectionBreaks: if the connection breaks at any byte, Get must keep
// the received part, and the next Get must continue it. An incomplete file must
// never get the name of the file.
func TestGet_ConnectionBreaks(t *testing.T) {
	for tenth := 1; tenth < 10; tenth++ {
		s := newSite(1_000_000)
		s.cut = tenth * 100_000
		dir, url := t.TempDir(), s.open(t)
		_, err := download.Get(t.Context(), nil, download.Request{URL: url, Dir: dir})
		failed(t, err, true, "receive")
		if names := files(t, dir); !slices.Equal(names, []string{"file.bin.part", "file.bin.part.json"}) {
			t.Fatalf("in the directory are %q", names)
		}
		s.cut = 0
		got, err := download.Get(t.Context(), nil, download.Request{URL: url, Dir: dir, SHA256: sum(s.body)})
		if err != nil || got.Resumed == 0 || s.ranges[1] == "" {
			t.Errorf("cut at %d0%%: Get() = %+v, %v, ranges %q; want it resumed", tenth, got, err, s.ranges)
		}
		whole(t, dir, s.body)
	}
}

// TestGet_BreaksOften: if the connection breaks after each small part of the
// file, repeated Gets must complete the file.
func TestGet_BreaksOften(t *testing.T) {
	s := newSite(100_000)
	s.cut = 9_000
	dir, url := t.TempDir(), s.open(t)
	attempts := 0
	for {
		attempts++
		if _, err := download.Get(t.Context(), nil, download.Request{URL: url, Dir: dir}); err == nil {
			break
		}
		if attempts > 20 {
			t.Fatal("no end")
		}
	}
	whole(t, dir, s.body)
}

// TestGet_FileChanges: if a file changes on the server before a download
// continues, Get must download the new file from its beginning. Four of five
// other programs join parts of the two files and report success.
func TestGet_FileChanges(t *testing.T) {
	for _, size := range []int{500_000, 200_000, 800_000} {
		t.Run(fmt.Sprint(size, " bytes"), func(t *testing.T) {
			s := newSite(500_000)
			s.cut = 250_000
			dir, url := t.TempDir(), s.open(t)
			_, err := download.Get(t.Context(), nil, download.Request{URL: url, Dir: dir})
			failed(t, err, true, "")
			s.cut, s.body, s.tag = 0, content(2, size), `"two"`
			got, err := download.Get(t.Context(), nil, download.Request{URL: url, Dir: dir})
			if err != nil || got.Resumed != 0 {
				t.Errorf("Get() = %+v, %v; want it begun anew", got, err)
			}
			whole(t, dir, s.body)
		})
	}
}

// interrupted leaves a part with half of the file.
func interrupted(t *testing.T, s *site) (dir, url string) {
	t.Helper()
	s.cut = len(s.body) / 2
	dir, url = t.TempDir(), s.open(t)
	_, err := download.Get(t.Context(), nil, download.Request{URL: url, Dir: dir})
	failed(t, err, true, "")
	s.cut = 0
	return dir, url
}

// TestGet_WrongRange: if a reply does not have the requested range, Get must
// not append it to the part.
func TestGet_WrongRange(t *testing.T) {
	for _, header := range []string{
		"", "bytes 0-99999/100000", "bytes 50001-99999/100000", "bytes 50000-99998/100000",
		"bytes 50000-99999/*", "bytes 50000-199999/200000", "pages 50000-99999/100000", "bytes 99999-50000/100000",
	} {
		t.Run(header, func(t *testing.T) {
			s := newSite(100_000)
			dir, url := interrupted(t, s)
			s.handler = func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Range", header)
				w.WriteHeader(http.StatusPartialContent)
				w.Write(s.body[50_000:])
			}
			_, err := download.Get(t.Context(), nil, download.Request{URL: url, Dir: dir})
			failed(t, err, true, "not the requested one")
			s.handler = nil
			if _, err := download.Get(t.Context(), nil, download.Request{URL: url, Dir: dir}); err != nil {
				t.Error(err)
			}
			whole(t, dir, s.body)
		})
	}
}

func TestGet_RangeIgnored(t *testing.T) {
	s := newSite(100_000)
	dir, url := interrupted(t, s)
	s.handler = func(w http.ResponseWriter, r *http.Request) { w.Write(s.body) }
	if got, err := download.Get(t.Context(), nil, download.Request{URL: url, Dir: dir}); err != nil || got.Resumed != 0 {
		t.Errorf("Get() = %+v, %v", got, err)
	}
	whole(t, dir, s.body)
}

func TestGet_RangeRefused(t *testing.T) {
	s := newSite(100_000)
	dir, url := interrupted(t, s)
	s.handler = func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusRequestedRangeNotSatisfiable) }
	_, err := download.Get(t.Context(), nil, download.Request{URL: url, Dir: dir})
	failed(t, err, true, "no such range")
	if names := files(t, dir); len(names) != 0 {
		t.Errorf("in the directory are %q", names)
	}
}

// TestGet_WeakValidator: if the server sends no strong validator, Get must not
// keep the part, because the next Get could not prove that the file is the
// same.
func TestGet_WeakValidator(t *testing.T) {
	for _, tag := range []string{`W/"one"`, "", "one"} {
		t.Run(tag, func(t *testing.T) {
			s := newSite(100_000)
			s.tag, s.cut = tag, 50_000
			dir, url := t.TempDir(), s.open(t)
			_, err := download.Get(t.Context(), nil, download.Request{URL: url, Dir: dir})
			failed(t, err, true, "")
			if names := files(t, dir); len(names) != 0 {
				t.Errorf("tag %q: in the directory are %q", tag, names)
			}
		})
	}
}

// TestGet_CompletePart: if a part is complete, because the process was killed
// before it renamed the part, the next Get must complete the file.
func TestGet_CompletePart(t *testing.T) {
	s := newSite(100_000)
	dir, url := interrupted(t, s)
	if err := os.WriteFile(filepath.Join(dir, "file.bin.part"), s.body, 0o666); err != nil {
		t.Fatal(err)
	}
	if got, err := download.Get(t.Context(), nil, download.Request{URL: url, Dir: dir}); err != nil || got.Resumed != 99_999 {
		t.Errorf("Get() = %+v, %v; want all but one byte resumed", got, err)
	}
	whole(t, dir, s.body)
}

// TestGet_ForeignPart: if a part has no note, has the note of another file, or
// is longer than the file, Get must not continue it.
func TestGet_ForeignPart(t *testing.T) {
	s := newSite(100_000)
	url := s.open(t)
	for _, note := range []string{
		"", "{", `{"URL":"http://elsewhere/file.bin","Validator":"\"one\"","Size":100000}`,
		`{"URL":"` + url + `","Validator":"","Size":100000}`, `{"URL":"` + url + `","Validator":"\"one\"","Size":10}`,
	} {
		t.Run(note, func(t *testing.T) {
			dir := t.TempDir()
			os.WriteFile(filepath.Join(dir, "file.bin.part"), []byte("bytes of another file"), 0o666)
			if note != "" {
				os.WriteFile(filepath.Join(dir, "file.bin.part.json"), []byte(note), 0o666)
			}
			if got, err := download.Get(t.Context(), nil, download.Request{URL: url, Dir: dir}); err != nil || got.Resumed != 0 {
				t.Errorf("note %q: Get() = %+v, %v", note, got, err)
			}
			whole(t, dir, s.body)
		})
	}
}

func TestGet_Digests(t *testing.T) {
	s := newSite(1000)
	url := s.open(t)
	digest := func(b []byte) string { h := sha256.Sum256(b); return base64.StdEncoding.EncodeToString(h[:]) }
	right, wrong := digest(s.body), digest(nil)
	for header, format := range map[string]string{"Repr-Digest": "sha-512=:AAAA:, sha-256=:%s:", "Content-Digest": "sha-256=:%s:;x=1", "Digest": "MD5=x, SHA-256=%s"} {
		t.Run(header, func(t *testing.T) {
			for _, d := range []string{right, wrong} {
				s.handler = func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set(header, fmt.Sprintf(format, d))
					w.Write(s.body)
				}
				dir := t.TempDir()
				got, err := download.Get(t.Context(), nil, download.Request{URL: url, Dir: dir})
				if d == right {
					if err != nil || got.SHA256 != sum(s.body) {
						t.Errorf("%s: Get() = %+v, %v; want the checksum", header, got, err)
					}
					whole(t, dir, s.body)
					continue
				}
				failed(t, err, true, "checksum")
				if names := files(t, dir); len(names) != 0 {
					t.Errorf("%s: in the directory are %q", header, names)
				}
			}
		})
	}
	// If the server announces another checksum than the caller's, Get fails
	// before it reads the body.
	_, err := download.Get(t.Context(), nil, download.Request{URL: url, Dir: t.TempDir(), SHA256: sum([]byte("other"))})
	failed(t, err, false, "announces")
	s.handler = nil
	dir := t.TempDir()
	_, err = download.Get(t.Context(), nil, download.Request{URL: url, Dir: dir, SHA256: sum(nil)})
	failed(t, err, true, sum(nil))
	if names := files(t, dir); len(names) != 0 {
		t.Errorf("in the directory are %q", names)
	}
}

func TestGet_Status(t *testing.T) {
	s := newSite(10)
	url := s.open(t)
	for _, c := range []struct {
		status     int
		retryAfter string
		temporary  bool
		want       time.Duration
	}{
		{404, "", false, 0}, {410, "7", false, 0}, {403, "", false, 0}, {401, "", false, 0}, {501, "", false, 0}, {204, "", false, 0},
		{408, "", true, 0}, {429, "", true, 0}, {429, "7", true, 7 * time.Second}, {503, "120", true, 2 * time.Minute},
		{503, "soon", true, 0}, {503, "-5", true, 0}, {500, "", true, 0}, {502, "", true, 0}, {504, "", true, 0},
	} {
		t.Run(fmt.Sprint(c.status, " ", c.retryAfter), func(t *testing.T) {
			s.handler = func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Retry-After", c.retryAfter)
				w.WriteHeader(c.status)
			}
			dir := t.TempDir()
			_, err := download.Get(t.Context(), nil, download.Request{URL: url, Dir: dir})
			e := failed(t, err, c.temporary, strconv.Itoa(c.status))
			if e.Status != c.status || e.RetryAfter() != c.want || len(files(t, dir)) != 0 {
				t.Errorf("status %d, Retry-After %q: %+v, %v, files %q", c.status, c.retryAfter, e, e.RetryAfter(), files(t, dir))
			}
		})
	}
	s.handler = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
		w.WriteHeader(503)
	}
	_, err := download.Get(t.Context(), nil, download.Request{URL: url, Dir: t.TempDir()})
	if e := failed(t, err, true, "503"); e.RetryAfter() < 59*time.Minute || e.RetryAfter() > time.Hour {
		t.Errorf("RetryAfter() of a date in an hour = %v", e.RetryAfter())
	}
}

func TestGet_Redirects(t *testing.T) {
	s := newSite(1000)
	url := s.open(t)
	s.handler = func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/file.bin", http.StatusFound) }
	_, err := download.Get(t.Context(), nil, download.Request{URL: url, Dir: t.TempDir()})
	failed(t, err, false, "redirects")
	s.handler = func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/file.bin" {
			http.Redirect(w, r, "/..%2f..%2fevil", http.StatusFound)
			return
		}
		w.Write(s.body)
	}
	dir := t.TempDir()
	if _, err := download.Get(t.Context(), nil, download.Request{URL: url, Dir: dir}); err != nil {
		t.Fatal(err)
	}
	whole(t, dir, s.body) // the file has the name in the requested URL
}

// TestGet_Timeouts: if the header does not arrive, or the body stops, Get must
// fail after the timeout. The test uses virtual time and connections in memory.
func TestGet_Timeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			reply string
			took  time.Duration
			text  string
		}{
			{"", 20 * time.Second, "timeout awaiting response headers"},
			{"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nETag: \"one\"\r\n\r\nsome bytes", 5 * time.Second, "stopped sending for 5s"},
		} {
			client := download.NewClient(&download.ClientOptions{Header: 20 * time.Second})
			transport := client.Transport.(*http.Transport)
			transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
				here, there := net.Pipe()
				go func() {
					defer there.Close()
					in := bufio.NewReader(there)
					if _, err := http.ReadRequest(in); err != nil {
						return
					}
					io.WriteString(there, c.reply)
					io.Copy(io.Discard, in) // until the other end is closed
				}()
				return here, nil
			}
			begin := time.Now()
			_, err := download.Get(t.Context(), client, download.Request{URL: "http://slow.test/file.bin", Dir: t.TempDir(), Stall: 5 * time.Second})
			failed(t, err, true, c.text)
			if took := time.Since(begin); took != c.took {
				t.Errorf("Get() took %v, want %v", took, c.took)
			}
			transport.CloseIdleConnections()
		}
	})
}

// TestGet_SlowButSteady: if bytes arrive regularly, Get must succeed, even if
// the whole body takes longer than Stall.
func TestGet_SlowButSteady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := download.NewClient(nil)
		transport := client.Transport.(*http.Transport)
		transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
			here, there := net.Pipe()
			go func() {
				defer there.Close()
				if _, err := http.ReadRequest(bufio.NewReader(there)); err != nil {
					return
				}
				io.WriteString(there, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\n")
				for range 10 {
					time.Sleep(4 * time.Second)
					io.WriteString(there, "x")
				}
			}()
			return here, nil
		}
		begin := time.Now()
		got, err := download.Get(t.Context(), client, download.Request{URL: "http://steady.test/file.bin", Dir: t.TempDir(), Stall: 5 * time.Second})
		if err != nil || got.Size != 10 || time.Since(begin) != 40*time.Second {
			t.Errorf("Get() = %+v, %v after %v; want 10 bytes after 40 s", got, err, time.Since(begin))
		}
		transport.CloseIdleConnections()
	})
}

// TestGet_ShortRange: if the reply with the rest of a file has no length, and
// ends before the end of the file, Get must fail. The next Get must continue.
func TestGet_ShortRange(t *testing.T) {
	s := newSite(100_000)
	dir, url := interrupted(t, s)
	s.handler = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Range", "bytes 50000-99999/100000")
		w.WriteHeader(http.StatusPartialContent)
		w.Write(s.body[50_000:70_000])
		http.NewResponseController(w).Flush() // in chunks, and so without a length
	}
	_, err := download.Get(t.Context(), nil, download.Request{URL: url, Dir: dir})
	failed(t, err, true, "70000 of 100000")
	s.handler = nil
	if got, err := download.Get(t.Context(), nil, download.Request{URL: url, Dir: dir}); err != nil || got.Resumed != 70_000 {
		t.Errorf("Get() = %+v, %v; want 70,000 bytes resumed", got, err)
	}
	whole(t, dir, s.body)
}

func TestGet_Canceled(t *testing.T) {
	s := newSite(1_000_000)
	url := s.open(t)
	dir := t.TempDir()
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	_, err := download.Get(ctx, nil, download.Request{URL: url, Dir: dir, Progress: func(done, _ int64) {
		if done > 100_000 {
			cancel(why)
		}
	}})
	if failed(t, err, false, "enough"); !errors.Is(err, why) {
		t.Errorf("error = %v", err)
	}
	first := int64(-1)
	got, err := download.Get(t.Context(), nil, download.Request{URL: url, Dir: dir, Progress: func(done, _ int64) {
		if first < 0 {
			first = done
		}
	}})
	if err != nil || got.Resumed <= 100_000 || first != got.Resumed {
		t.Errorf("Get() = %+v, %v, progress from %d; want it resumed, and progress from there", got, err, first)
	}
	whole(t, dir, s.body)
}

func TestGet_Unreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	_, err = download.Get(t.Context(), nil, download.Request{URL: "http://user:secret@" + address + "/file.bin", Dir: t.TempDir()})
	failed(t, err, true, "refused")
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("the error has the password: %v", err)
	}
}

func TestGet_Dir(t *testing.T) {
	s := newSite(10)
	url := s.open(t)
	dir := t.TempDir()
	_, err := download.Get(t.Context(), nil, download.Request{URL: url, Dir: filepath.Join(dir, "missing")})
	if failed(t, err, false, "open the directory"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error = %v", err)
	}
	// Get must not follow a link that has the name of the part, and leads to a
	// file outside of the directory.
	outside := filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(outside, []byte("precious"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "file.bin.part")); err != nil {
		t.Fatal(err)
	}
	_, err = download.Get(t.Context(), nil, download.Request{URL: url, Dir: dir})
	failed(t, err, false, "file.bin.part")
	if got, _ := os.ReadFile(outside); string(got) != "precious" {
		t.Errorf("a file outside the directory is now %q", got)
	}
	if len(s.ranges) != 0 {
		t.Error("Get sent a request before it checked the directory")
	}
}

func TestGet_InvalidRequests(t *testing.T) {
	for _, c := range []struct{ url, name, sum, text string }{
		{"://x", "", "", "not a URL"}, {"file:///etc/passwd", "", "", "not an http"}, {"http:///x", "", "", "not an http"},
		{"ftp://host/x", "", "", "not an http"}, {"http://host/x", "../x", "", "path separator"},
		{"http://host/x", "", "abc", "not a SHA-256"}, {"http://host/..%2f..%2fevil", "", "", "path separator"},
		{"http://a:pass word@host/x", "", "", "not a URL"},
	} {
		t.Run(c.url, func(t *testing.T) {
			_, err := download.Get(t.Context(), nil, download.Request{URL: c.url, Name: c.name, SHA256: c.sum, Dir: t.TempDir()})
			if err == nil || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "pass") && !strings.Contains(c.url, "passwd") {
				t.Errorf("Get(%q, %q, %q) = %v, want %q", c.url, c.name, c.sum, err, c.text)
			}
		})
	}
}

func TestName_OfURL(t *testing.T) {
	for url, want := range map[string]string{
		"http://h/a/b.txt": "b.txt", "http://h": "index.html", "http://h/": "index.html", "http://h/a/": "index.html",
		"http://h/b%20c.txt?x=/../y#z": "b c.txt", "http://h/%C3%A4.txt": "ä.txt", "http://h/a/../b": "b",
		"http://h/..": "", "http://h/%2e%2e": "", "http://h/a%2f..%2fb": "", "http://h/a%5cb": "", "http://h/a%00b": "", "http://h/nul": "",
		"http://h/Com1.txt": "", "http://h/a%3ab": "", "http://h/a.": "", "http://h/x.part": "", "http://h/%ff": "",
		"http://h/%e2%80%ae.txt": "", "http://h/" + strings.Repeat("x", 300): "", "http://h/%zz": "",
	} {
		t.Run(url, func(t *testing.T) {
			if got, err := download.Name(url); want == "" && err == nil || want != "" && (got != want || err != nil) {
				t.Errorf("Name(%q) = %q, %v; want %q", url, got, err, want)
			}
		})
	}
}

func FuzzName(f *testing.F) {
	for _, s := range []string{"http://h/a", "http://h/..%2f", "http://h/%00", "//", "http://h/a/../..", "nul"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, candidate := range []string{s, "http://host/" + s} {
			name, err := download.Name(candidate)
			if err != nil {
				continue
			}
			if !filepath.IsLocal(name) || filepath.Base(name) != name || strings.ContainsAny(name, "/\\\x00") {
				t.Errorf("Name(%q) = %q", candidate, name)
			}
		}
	})
}
