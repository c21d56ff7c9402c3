package download_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"concert/download"
)

// TestGet_ConnectionBreaks: if the connection breaks at any byte, Get must keep
// the received part, and the next Get must continue it. An incomplete file must
// never have the final name.
func TestGet_ConnectionBreaks(t *testing.T) {
	for _, cut := range []int{1, 1000, 64 << 10, 64<<10 + 1, 500_000, 1 << 20, 1<<20 + 1, 2_999_999} {
		t.Run(fmt.Sprint(cut), func(t *testing.T) {
			s := newSite(3_000_000)
			s.cut = cut
			dir, url := t.TempDir(), s.open(t)
			_, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir})
			if e := wantError(t, err, true, "receive"); e.Kept != int64(cut) {
				t.Errorf("%d bytes kept", e.Kept)
			}
			wantFiles(t, dir, "file.bin.part", "file.bin.part.json")
			s.cut = 0
			got, err := download.Get(t.Context(), download.Request{URL: url, Dir: dir, Digests: []download.Digest{sha256Of(s.body)}})
			if err != nil || got.Resumed != int64(cut) || got.Attempts != 1 || got.Status != http.StatusPartialContent {
				t.Errorf("Get() = %+v, %v; want it resumed", got, err)
			}
			if r := s.last().Header.Get("Range"); r != fmt.Sprintf("bytes=%d-", max(0, cut-64<<10)) {
				t.Errorf("Get requested the range %q", r)
			}
			wantWhole(t, dir, s.body)
		})
	}
}

// TestGet_BreaksOften: if the connection breaks after each small piece of the
// file, repeated calls must complete the file.
func TestGet_BreaksOften(t *testing.T) {
	s := newSite(400_000)
	s.cut = 64<<10 + 9_000 // each call receives 64 KiB again and compares them
	dir, url := t.TempDir(), s.open(t)
	for attempts := 0; ; attempts++ {
		if _, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir}); err == nil {
			break
		}
		if attempts > 50 {
			t.Fatal("no end")
		}
	}
	wantWhole(t, dir, s.body)
}

// TestGet_FileChanges: if the file of the server changes before a download
// continues, Get must download the new file from its beginning.
func TestGet_FileChanges(t *testing.T) {
	for _, size := range []int{500_000, 200_000, 800_000} {
		t.Run(fmt.Sprint(size, " bytes"), func(t *testing.T) {
			s := newSite(500_000)
			dir, url := interrupted(t, s)
			s.body, s.tag = content(2, size), `"two"`
			got, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir})
			if err != nil || got.Resumed != 0 {
				t.Errorf("Get() = %+v, %v; want it started again", got, err)
			}
			wantWhole(t, dir, s.body)
		})
	}
}

// TestGet_WrongRange: Get must not append a reply that does not have the
// requested range of the same version. The next attempt starts again.
func TestGet_WrongRange(t *testing.T) {
	date := time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC).Format(http.TimeFormat)
	for _, c := range []struct{ name, header, value, text string }{
		{"no Content-Range", "Content-Range", "", "not the requested one"},
		{"first byte of the file", "Content-Range", "bytes 0-199999/200000", "not the requested one"},
		{"one byte later", "Content-Range", "bytes 34465-199999/200000", "not the requested one"},
		{"not up to the end", "Content-Range", "bytes 34464-199998/200000", "not the requested one"},
		{"unknown size", "Content-Range", "bytes 34464-199999/*", "not the requested one"},
		{"another size", "Content-Range", "bytes 34464-399999/400000", "not the requested one"},
		{"another unit", "Content-Range", "pages 34464-199999/200000", "not the requested one"},
		{"reversed", "Content-Range", "bytes 199999-34464/200000", "not the requested one"},
		{"another length", "Content-Length", "165535", "in a body of"},
		{"another entity tag", "ETag", `"two"`, "another version"},
		{"weak entity tag", "ETag", `W/"one"`, "another version"},
		{"no entity tag", "ETag", "", "another version"},
		{"several ranges", "Content-Type", "multipart/byteranges; boundary=x", "several ranges"},
		{"gzip", "Content-Encoding", "gzip", "compressed a range"},
		{"date instead of the entity tag", "ETag", date, "another version"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(200_000)
			dir, url := interrupted(t, s)
			s.handler = func(w http.ResponseWriter, r *http.Request) {
				h := w.Header()
				h.Set("ETag", s.tag)
				h.Set("Content-Type", "application/octet-stream")
				h.Set("Content-Range", "bytes 34464-199999/200000")
				h.Set("Content-Length", "165536")
				h.Set(c.header, c.value)
				if c.value == "" {
					h.Del(c.header)
				}
				w.WriteHeader(http.StatusPartialContent)
				w.Write(content(2, 165_536))
			}
			_, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir})
			wantError(t, err, true, c.text)
			wantFiles(t, dir)
			s.handler = nil
			if _, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir}); err != nil {
				t.Error(err)
			}
			wantWhole(t, dir, s.body)
		})
	}
}

// TestGet_RangeOfAnotherFile: if a reply has the right headers and the bytes
// of another version, Get must notice it by the overlap.
func TestGet_RangeOfAnotherFile(t *testing.T) {
	s := newSite(300_000)
	dir, url := interrupted(t, s)
	old := s.body
	s.body = content(2, len(old)) // with the same entity tag
	_, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir})
	wantError(t, err, true, "differs")
	wantFiles(t, dir)
	if _, err = once(t).Get(t.Context(), download.Request{URL: url, Dir: dir}); err != nil {
		t.Error(err)
	}
	wantWhole(t, dir, s.body)
}

// TestGet_UnrequestedRange: Get must not accept 206 for a request without a
// range.
func TestGet_UnrequestedRange(t *testing.T) {
	s := newSite(1000)
	s.handler = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Range", "bytes 0-999/1000")
		w.WriteHeader(http.StatusPartialContent)
		w.Write(s.body)
	}
	dir := t.TempDir()
	_, err := once(t).Get(t.Context(), download.Request{URL: s.open(t), Dir: dir})
	wantError(t, err, true, "none was requested")
	wantFiles(t, dir)
}

// TestGet_DamagedPart: if the end of a part is damaged, Get must start again
// and return the right file.
func TestGet_DamagedPart(t *testing.T) {
	for name, damage := range map[string]func(part []byte) []byte{
		"tail of zeros":        func(b []byte) []byte { clear(b[len(b)-4096:]); return b },
		"last byte":            func(b []byte) []byte { b[len(b)-1]++; return b },
		"another file":         func(b []byte) []byte { return content(3, len(b)) },
		"longer than the file": func(b []byte) []byte { return append(b, content(4, 400_000)...) },
		"additional zeros":     func(b []byte) []byte { return append(b, make([]byte, 10_000)...) },
		"complete and wrong":   func(b []byte) []byte { return content(5, 400_000) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(400_000)
			dir, url := interrupted(t, s)
			part := filepath.Join(dir, "file.bin.part")
			b, err := os.ReadFile(part)
			if err != nil {
				t.Fatal(err)
			}
			write(t, part, damage(b))
			got, err := newClient(t, download.ClientOptions{}).Get(t.Context(), download.Request{URL: url, Dir: dir})
			if err != nil || got.Resumed != 0 {
				t.Errorf("Get() = %+v, %v; want it started again", got, err)
			}
			wantWhole(t, dir, s.body)
		})
	}
}

// TestGet_DamagedMiddle: only a digest shows that bytes before the overlap are
// damaged. Then Get must start again.
func TestGet_DamagedMiddle(t *testing.T) {
	s := newSite(400_000)
	dir, url := interrupted(t, s)
	part := filepath.Join(dir, "file.bin.part")
	b, err := os.ReadFile(part)
	if err != nil {
		t.Fatal(err)
	}
	b[100]++
	write(t, part, b)
	got, err := newClient(t, download.ClientOptions{}).Get(t.Context(), download.Request{URL: url, Dir: dir, Digests: []download.Digest{sha256Of(s.body)}})
	if err != nil || got.Resumed != 0 || got.Attempts != 2 {
		t.Errorf("Get() = %+v, %v; want it right after a second attempt", got, err)
	}
	wantWhole(t, dir, s.body)
}

// changeState changes fields in the last complete line of a state file.
func changeState(t *testing.T, path string, change func(map[string]any)) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string]any{}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	for d.More() {
		if err := d.Decode(&fields); err != nil {
			t.Fatal(err)
		}
	}
	change(fields)
	line, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	// The format is first, as Get writes it.
	text := `{"format":"concert part 2",` + strings.TrimPrefix(string(line), "{") + "\n"
	write(t, path, []byte(text))
}

// TestGet_PowerLoss: if the system was started again, only the synced bytes of
// the part count.
func TestGet_PowerLoss(t *testing.T) {
	s := newSite(400_000)
	dir, url := interrupted(t, s)
	changeState(t, filepath.Join(dir, "file.bin.part.json"), func(fields map[string]any) {
		fields["boot"], fields["synced"] = "another", 120_000
	})
	part := filepath.Join(dir, "file.bin.part")
	b, err := os.ReadFile(part)
	if err != nil {
		t.Fatal(err)
	}
	clear(b[120_000:]) // as after a loss of power, if these blocks were not written
	write(t, part, append(b, make([]byte, 100_000)...))
	got, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir})
	if err != nil || got.Resumed != 120_000 {
		t.Errorf("Get() = %+v, %v; want the synced bytes resumed", got, err)
	}
	wantWhole(t, dir, s.body)
}

// TestGet_VersionWithoutTag: if a new version without an entity tag replaces
// the content of a part, the state must not keep the old tag.
func TestGet_VersionWithoutTag(t *testing.T) {
	s := newSite(400_000)
	dir, url := interrupted(t, s)
	first := s.body
	s.body, s.tag, s.modified, s.cut = content(2, 400_000), "", time.Now().Add(-time.Hour), 300_000
	_, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir})
	if e := wantError(t, err, true, "receive"); e.Kept != 300_000 {
		t.Errorf("%d bytes kept", e.Kept)
	}
	// Bytes of the first version must not follow bytes of the second version,
	// even if the overlap is the same.
	copy(first[200_000:300_000], s.body[200_000:300_000])
	s.body, s.tag, s.cut = first, `"one"`, 0
	if got, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir}); err != nil || got.Resumed != 0 {
		t.Errorf("Get() = %+v, %v; want it started again", got, err)
	}
	wantWhole(t, dir, first)
}

func TestGet_RangeIgnored(t *testing.T) {
	s := newSite(100_000)
	dir, url := interrupted(t, s)
	s.handler = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100000")
		w.Write(s.body)
	}
	if got, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir}); err != nil || got.Resumed != 0 {
		t.Errorf("Get() = %+v, %v", got, err)
	}
	wantWhole(t, dir, s.body)
}

// TestGet_WeakValidator: if the server sends no strong validator, Get must not
// keep the part, because the next Get could not prove that the file is the
// same.
func TestGet_WeakValidator(t *testing.T) {
	for name, set := range map[string]func(*site){
		"weak tag":       func(s *site) { s.tag = `W/"one"` },
		"no quotes":      func(s *site) { s.tag = "one" },
		"nothing":        func(s *site) { s.tag = "" },
		"date of today":  func(s *site) { s.tag, s.modified = "", time.Now() },
		"weak tag, date": func(s *site) { s.tag, s.modified = `W/"one"`, time.Now().Add(-time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(3_000_000)
			set(s)
			s.cut = 2_500_000
			dir, url := t.TempDir(), s.open(t)
			_, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir})
			if e := wantError(t, err, true, ""); e.Kept != 0 {
				t.Errorf("%d bytes kept", e.Kept)
			}
			wantFiles(t, dir)
			s.cut = 0
			if _, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir}); err != nil || s.last().Header.Get("Range") != "" {
				t.Errorf("Get() = %v, with the range %q", err, s.last().Header.Get("Range"))
			}
			wantWhole(t, dir, s.body)
		})
	}
}

// TestGet_DateValidator: without an entity tag, an old date is a strong
// validator.
func TestGet_DateValidator(t *testing.T) {
	s := newSite(200_000)
	s.tag, s.modified = "", time.Now().Add(-time.Hour).Truncate(time.Second)
	dir, url := interrupted(t, s)
	if got, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir}); err != nil || got.Resumed != 100_000 || !got.Modified.Equal(s.modified) {
		t.Errorf("Get() = %+v, %v; want it resumed, with the date %v", got, err, s.modified)
	}
	wantWhole(t, dir, s.body)

	// The server sends a range of another version, with another date.
	dir, url = interrupted(t, s)
	s.handler = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Last-Modified", time.Now().Add(-time.Minute).UTC().Format(http.TimeFormat))
		w.Header().Set("Content-Range", "bytes 34464-199999/200000")
		w.WriteHeader(http.StatusPartialContent)
		w.Write(s.body[34_464:])
	}
	_, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir})
	wantError(t, err, true, "another version")
}

// TestGet_CompletePart: if a part is complete, because the process was killed
// before it gave the part its final name, the next Get must verify and rename
// the part.
func TestGet_CompletePart(t *testing.T) {
	s := newSite(100_000)
	dir, url := interrupted(t, s)
	write(t, filepath.Join(dir, "file.bin.part"), s.body)
	got, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir, Digests: []download.Digest{sha256Of(s.body)}})
	if err != nil || got.Resumed != 100_000 {
		t.Errorf("Get() = %+v, %v; want all bytes resumed", got, err)
	}
	wantWhole(t, dir, s.body)
}

// TestGet_ShortRange: if the reply with the rest of the file has no length, and
// ends before the end of the file, Get must fail. The next Get must continue.
func TestGet_ShortRange(t *testing.T) {
	s := newSite(200_000)
	dir, url := interrupted(t, s)
	s.handler = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", s.tag)
		w.Header().Set("Content-Range", "bytes 34464-199999/200000")
		w.WriteHeader(http.StatusPartialContent)
		w.Write(s.body[34_464:170_000])
		http.NewResponseController(w).Flush() // in chunks, and so without a length
	}
	_, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir})
	wantError(t, err, true, "170000 of 200000")
	s.handler = nil
	if got, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir}); err != nil || got.Resumed != 170_000 {
		t.Errorf("Get() = %+v, %v; want 170,000 bytes resumed", got, err)
	}
	wantWhole(t, dir, s.body)
}

// TestGet_LongBody: if the server sends more bytes than it announced, Get must
// not create the file.
func TestGet_LongBody(t *testing.T) {
	s := newSite(200_000)
	dir, url := interrupted(t, s)
	s.handler = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", s.tag)
		w.Header().Set("Content-Range", "bytes 34464-199999/200000")
		w.WriteHeader(http.StatusPartialContent)
		w.Write(s.body[34_464:])
		http.NewResponseController(w).Flush()
		w.Write([]byte("more"))
	}
	_, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir})
	wantError(t, err, true, "more than the announced 200000")
	wantFiles(t, dir)
}

// TestGet_PartSurvivesErrors: if the server replies with an error or with an
// HTML page, as a captive portal does, Get must keep the part.
func TestGet_PartSurvivesErrors(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"403":    func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(403) },
		"404":    func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(404) },
		"503":    func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(503) },
		"204":    func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204) },
		"portal": func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "<html>Please sign in</html>") },
		"portal with a tag": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", `"portal"`)
			fmt.Fprint(w, "<html>Please sign in</html>")
		},
		"portal of text": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			fmt.Fprint(w, "Please sign in")
		},
		"portal redirects": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/login" {
				http.Redirect(w, r, "/login", http.StatusFound)
				return
			}
			fmt.Fprint(w, "<html>Please sign in</html>")
		},
		"broken": func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(200_000)
			dir, url := interrupted(t, s)
			s.handler = handler
			_, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir})
			if e, ok := err.(*download.Error); !ok || e.Kept != 100_000 {
				t.Errorf("Get() = %#v; want an error, and the part kept", err)
			}
			if s.count() < 2 {
				t.Error("Get sent no request")
			}
			s.handler = nil
			if got, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir}); err != nil || got.Resumed != 100_000 {
				t.Errorf("Get() = %+v, %v; want it resumed", got, err)
			}
			wantWhole(t, dir, s.body)
		})
	}
}

// TestGet_AnotherURL: a part belongs to a version of the file, not to a URL.
// So Get must continue the part from a URL with a fresh signature and from a
// mirror.
func TestGet_AnotherURL(t *testing.T) {
	s := newSite(200_000)
	dir, url := interrupted(t, s)
	got, err := once(t).Get(t.Context(), download.Request{URL: url + "?X-Amz-Signature=fresh", Dir: dir})
	if err != nil || got.Resumed != 100_000 {
		t.Errorf("Get() = %+v, %v; want it resumed", got, err)
	}
	wantWhole(t, dir, s.body)
}

// TestGet_UnknownLength: a chunked body has no length. Get must continue its
// part, because the reply with the range has the length.
func TestGet_UnknownLength(t *testing.T) {
	s := newSite(200_000)
	dir := t.TempDir()
	s.handler = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", s.tag)
		w.Write(s.body[:90_000])
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	url := s.open(t)
	_, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir})
	wantError(t, err, true, "receive")
	s.handler = nil
	got, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir})
	if err != nil || got.Resumed == 0 || strconv.FormatInt(got.Size, 10) != "200000" {
		t.Errorf("Get() = %+v, %v; want it resumed", got, err)
	}
	wantWhole(t, dir, s.body)
}
