package download_test

import (
	"fmt"
	"net"
	"net/http"
	"testing"
	"testing/synctest"

	"concert/download"
)

// TestGet_OtherBytesWithinGet: a server may replace the file between two
// attempts, and keep the entity tag. Get must notice it by the last bytes of
// its part, and start again.
func TestGet_OtherBytesWithinGet(t *testing.T) {
	for _, cut := range []int{1, 300, 100_000, 2_500_000} {
		t.Run(fmt.Sprint(cut, " bytes"), func(t *testing.T) {
			s := newSite(3_000_000)
			other := content(2, 3_000_000)
			s.body[0] = other[0] + 1 // so that the first bytes differ, too
			s.handler = func(w http.ResponseWriter, r *http.Request) {
				if s.count() == 1 {
					before := &site{body: s.body, tag: s.tag, cut: cut}
					before.send(w, r)
				}
				after := &site{body: other, tag: s.tag}
				after.send(w, r)
			}
			dir := t.TempDir()
			got, err := newClient(t, download.ClientOptions{}).Get(t.Context(), download.Request{URL: s.open(t), Dir: dir})
			if err != nil || got.Attempts != 3 {
				t.Errorf("Get() = %+v, %v; want 3 attempts", got, err)
			}
			wantWhole(t, dir, other)
		})
	}
}

// TestGet_BreaksEarly: if a server breaks each connection after few bytes, Get
// must not request the same bytes again and again.
func TestGet_BreaksEarly(t *testing.T) {
	for _, cut := range []int{2, 3, 700, 5000} {
		t.Run(fmt.Sprint(cut, " bytes"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // the pauses between attempts grow
				body := content(1, 20*cut)
				client := newPipeClient(download.ClientOptions{Retries: 1000}, func(conn net.Conn, r *http.Request, _ int) {
					from, status := 0, "200 OK"
					if n, _ := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from); n == 1 {
						status = fmt.Sprintf("206 Partial Content\r\nContent-Range: bytes %d-%d/%d", from, len(body)-1, len(body))
					}
					fmt.Fprintf(conn, "HTTP/1.1 %s\r\nContent-Length: %d\r\nETag: \"one\"\r\n\r\n%s", status, len(body)-from, body[from:min(len(body), from+cut)])
				})
				defer client.Close()
				dir := t.TempDir()
				got, err := client.Get(t.Context(), download.Request{URL: "http://early.test/file.bin", Dir: dir})
				if err != nil || got.Attempts > 80 {
					t.Errorf("Get() = %+v, %v; want at most 80 attempts", got, err)
				}
				wantWhole(t, dir, body)
			})
		})
	}
}

// TestGet_ComparesOneByte: after many attempts without new bytes, Get must
// still compare the last byte of its part. In some cases the part has all
// bytes, but Get does not know the length. The server has replaced the file,
// and kept the entity tag.
func TestGet_ComparesOneByte(t *testing.T) {
	const size, breaks = 100_000, 20
	for _, known := range []bool{true, false} { // whether the length is known
		t.Run(fmt.Sprint("length known ", known), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // the pauses between attempts grow
				body, other := content(1, size), content(2, size)
				start := body // the bytes that arrive before the first break
				if known {
					start = body[:size/2]
				}
				other[len(start)-1] = body[len(start)-1] + 1
				var last string
				client := newPipeClient(download.ClientOptions{Retries: 2 * breaks}, func(conn net.Conn, r *http.Request, n int) {
					from := 0
					ranged, _ := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from)
					switch {
					case n == 1 && known:
						fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nETag: \"one\"\r\n\r\n%s", size, start)
					case n == 1:
						fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nETag: \"one\"\r\n\r\n%x\r\n%s\r\n", size, start)
					case ranged == 1 && from >= size:
						t.Errorf("request %d is for the bytes after the end", n)
						fmt.Fprintf(conn, "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\n\r\n")
					case ranged == 1:
						last = r.Header.Get("Range") // recorded before Get receives the reply
						fmt.Fprintf(conn, "HTTP/1.1 206 Partial Content\r\nContent-Length: %d\r\nContent-Range: bytes %d-%d/%d\r\nETag: \"one\"\r\n\r\n",
							size-from, from, size-1, size)
						if n > breaks {
							conn.Write(other[from:])
						}
					default:
						fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nETag: \"one\"\r\n\r\n%s", size, other)
					}
				})
				defer client.Close()
				dir := t.TempDir()
				if _, err := client.Get(t.Context(), download.Request{URL: "http://early.test/file.bin", Dir: dir}); err != nil {
					t.Error(err)
				}
				if want := fmt.Sprintf("bytes=%d-", len(start)-1); last != want {
					t.Errorf("the last range is %q, want %q", last, want)
				}
				wantWhole(t, dir, other)
			})
		})
	}
}

// TestPieces_OtherBytesWithinGet is like TestGet_OtherBytesWithinGet, but Get
// has several connections. All of them break.
func TestPieces_OtherBytesWithinGet(t *testing.T) {
	const connections = 4
	s := newRangeServer(16 * mib)
	other := randomFile(2, len(s.body))
	s.fault = func(w http.ResponseWriter, r *http.Request, number int) bool {
		if number > connections {
			s.reply(w, r, other, s.tag)
			return true
		}
		from, end := asked(r, len(s.body))
		s.sendPart(w, r, from, end, 300_000)
		panic(http.ErrAbortHandler)
	}
	dir := t.TempDir()
	_, err := piecesClient(t, download.ClientOptions{}).Get(t.Context(), download.Request{URL: s.open(t), Dir: dir, Connections: connections})
	if err != nil {
		t.Fatal(err)
	}
	checkLarge(t, dir, other)
}

// TestPieces_OtherBytesForPieces: a server may replace the file after the
// first request, and keep the entity tag. Get must notice it.
func TestPieces_OtherBytesForPieces(t *testing.T) {
	s := newRangeServer(16 * mib)
	s.slow()
	other := randomFile(2, len(s.body))
	s.fault = func(w http.ResponseWriter, r *http.Request, number int) bool {
		if number > 1 {
			s.reply(w, r, other, s.tag)
		}
		return number > 1
	}
	dir := t.TempDir()
	_, err := piecesClient(t, download.ClientOptions{}).Get(t.Context(), download.Request{URL: s.open(t), Dir: dir, Connections: 4})
	if err != nil {
		t.Fatal(err)
	}
	checkLarge(t, dir, other)
}

// sendPart replies with the header for a range of the file, and sends its first
// n bytes.
func (s *rangeServer) sendPart(w http.ResponseWriter, r *http.Request, from, end, n int) {
	h := w.Header()
	h.Set("ETag", s.tag)
	h.Set("Accept-Ranges", "bytes")
	h.Set("Content-Length", fmt.Sprint(end-from))
	if r.Header.Get("Range") != "" {
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, end-1, len(s.body)))
		w.WriteHeader(http.StatusPartialContent)
	}
	w.Write(s.body[from : from+n])
	http.NewResponseController(w).Flush()
}
