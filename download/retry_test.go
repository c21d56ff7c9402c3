package download_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"concert/download"
)

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
		{403, "7", true, 7 * time.Second}, {202, "7", true, 7 * time.Second}, {202, "", false, 0}, {304, "", false, 0},
		{408, "", true, 0}, {425, "", true, 0}, {429, "", true, 0}, {429, "7", true, 7 * time.Second}, {503, "120", true, 2 * time.Minute},
		{503, "soon", true, 0}, {503, "-5", true, 0}, {500, "", true, 0}, {502, "", true, 0}, {504, "", true, 0},
		{520, "", true, 0}, {522, "", true, 0}, {525, "", true, 0}, {529, "", true, 0}, {530, "9", true, 9 * time.Second},
	} {
		t.Run(fmt.Sprint(c.status, " ", c.retryAfter), func(t *testing.T) {
			s.handler = func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Retry-After", c.retryAfter)
				w.WriteHeader(c.status)
			}
			dir := t.TempDir()
			_, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: dir})
			if e := wantError(t, err, c.temporary, strconv.Itoa(c.status)); e.Status != c.status || e.RetryAfter() != c.want {
				t.Errorf("status %d, Retry-After %q: %+v, %v", c.status, c.retryAfter, e, e.RetryAfter())
			}
			wantFiles(t, dir)
		})
	}
	s.handler = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
		w.WriteHeader(503)
	}
	_, err := once(t).Get(t.Context(), download.Request{URL: url, Dir: t.TempDir()})
	if e := wantError(t, err, true, "503"); e.RetryAfter() < 30*time.Minute || e.RetryAfter() > time.Hour {
		t.Errorf("RetryAfter() of a date in an hour = %v", e.RetryAfter())
	}
}

// TestGet_ErrorBody: the error has the first line of a body that is text,
// without unprintable characters.
func TestGet_ErrorBody(t *testing.T) {
	for _, c := range []struct{ kind, body, want string }{
		{"text/plain; charset=utf-8", "\n  quota of \x1b[31manna\x07 exceeded\u202e \nmore", "quota of [31manna exceeded"},
		{"application/json", `{"message":"bad token"}`, `{"message":"bad token"}`},
		{"application/xml", "<?xml version=\"1.0\"?>\n<Error><Code>AccessDenied</Code></Error>", "<Error><Code>AccessDenied</Code></Error>"},
		{"text/html", "<html>page</html>", ""},
		{"application/octet-stream", "bytes", ""},
		{"text/plain", strings.Repeat("ä", 500), strings.Repeat("ä", 200) + "..."},
		{"text/plain", "", ""},
		{"text/plain", "\xff\xfe ok", "ok"},
	} {
		s := &site{handler: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", c.kind)
			w.WriteHeader(403)
			io.WriteString(w, c.body)
		}}
		_, err := once(t).Get(t.Context(), download.Request{URL: s.open(t), Dir: t.TempDir()})
		if e := wantError(t, err, false, "403"); e.Body != c.want || !strings.HasSuffix(err.Error(), c.want) {
			t.Errorf("%s %q: the error has the body %q, want %q", c.kind, c.body, e.Body, c.want)
		}
	}
}

// ok is the header of a reply with 10 bytes.
const ok = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"

// TestGet_RetryPauses: Get must pause between attempts. If the server demands
// a pause, Get must pause for this time.
func TestGet_RetryPauses(t *testing.T) {
	for _, c := range []struct {
		name     string
		opts     download.ClientOptions
		reply    string // the reply to all attempts except the last one
		failures int
		min, max time.Duration // limits of the sum of all pauses
		text     string        // the text of the error; empty if Get must succeed
	}{
		{"growing", download.ClientOptions{}, "HTTP/1.1 500 X\r\n\r\n", 5, 15500 * time.Millisecond, 31 * time.Second, ""},
		{"too many", download.ClientOptions{}, "HTTP/1.1 500 X\r\n\r\n", 6, 15500 * time.Millisecond, 31 * time.Second, "500"},
		{"at most a minute", download.ClientOptions{Retries: 10, RetryDelay: 40 * time.Second}, "", 3, 80 * time.Second, 160 * time.Second, ""},
		{"none", download.ClientOptions{Retries: -1}, "", 1, 0, 0, "EOF"},
		{"Retry-After", download.ClientOptions{}, "HTTP/1.1 429 X\r\nRetry-After: 20\r\n\r\n", 2, 40 * time.Second, 40 * time.Second, ""},
		{"Retry-After of 403", download.ClientOptions{}, "HTTP/1.1 403 X\r\nRetry-After: 60\r\n\r\n", 1, time.Minute, time.Minute, ""},
		{"Retry-After too long", download.ClientOptions{}, "HTTP/1.1 503 X\r\nRetry-After: 61\r\n\r\n", 1, 0, 0, "a pause of 61 seconds, and the limit is 60"},
		{"Retry-After permitted", download.ClientOptions{MaxRetryAfter: time.Hour}, "HTTP/1.1 503 X\r\nRetry-After: 1800\r\n\r\n", 1, 30 * time.Minute, 30 * time.Minute, ""},
		{"MaxTime", download.ClientOptions{MaxTime: 10 * time.Second}, "HTTP/1.1 503 X\r\nRetry-After: 20\r\n\r\n", 1, 10 * time.Second, 10 * time.Second, "time limit"},
		{"not temporary", download.ClientOptions{}, "HTTP/1.1 404 X\r\n\r\n", 1, 0, 0, "404"},
		{"no HTTP", download.ClientOptions{Retries: 1}, "SSH-2.0-OpenSSH\r\n\r\n", 1, 500 * time.Millisecond, time.Second, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := newPipeClient(c.opts, func(conn net.Conn, _ *http.Request, n int) {
					if n <= c.failures {
						io.WriteString(conn, c.reply)
						return
					}
					io.WriteString(conn, ok+"0123456789")
				})
				defer client.Close()
				begin := time.Now()
				var announced time.Duration
				_, err := client.Get(t.Context(), download.Request{URL: "http://retry.test/file.bin", Dir: t.TempDir(), OnEvent: func(e download.Event) {
					if e.Kind == download.EventRetry {
						announced += e.Delay
						if e.Err == nil {
							t.Error("a retry without an error")
						}
					}
				}})
				took := time.Since(begin)
				if (err == nil) != (c.text == "") || err != nil && !strings.Contains(err.Error(), c.text) || err != nil && strings.Contains(err.Error(), "\n") {
					t.Errorf("Get() = %v, want %q", err, c.text)
				}
				if took < c.min || took > c.max || announced != took && c.opts.MaxTime == 0 {
					t.Errorf("Get() took %v and announced %v, want %v to %v", took, announced, c.min, c.max)
				}
			})
		})
	}
}

// TestGet_ProgressRenewsAttempts: an attempt that received at least 64 KiB does
// not count as a failure. Three attempts with 45,000 bytes are too many
// failures.
func TestGet_ProgressRenewsAttempts(t *testing.T) {
	for _, c := range []struct {
		cut  int
		want bool
	}{{70_000, true}, {15_000, false}} {
		s := newSite(2_000_000)
		s.cut = c.cut
		dir, url := t.TempDir(), s.open(t)
		got, err := newClient(t, download.ClientOptions{Retries: 2}).Get(t.Context(), download.Request{URL: url, Dir: dir})
		if (err == nil) != c.want {
			t.Errorf("cut after %d bytes: Get() = %+v, %v", c.cut, got, err)
		}
		if c.want {
			each := c.cut - 4<<10 // Get compares the last bytes again
			if got.Attempts != (2_000_000-c.cut+each-1)/each+1 || got.Resumed != 0 {
				t.Errorf("Get() = %+v", got)
			}
			wantWhole(t, dir, s.body)
		}
	}
}

// TestGet_Timeouts: if the header does not arrive, or the body stops or is too
// slow, the attempt must end after the timeout, and the received bytes must be
// kept.
func TestGet_Timeouts(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\nETag: \"one\"\r\n\r\n"
	silent := func(conn net.Conn) { io.Copy(io.Discard, conn) } // blocks until the client closes the connection
	for _, c := range []struct {
		name  string
		opts  download.ClientOptions
		serve func(conn net.Conn)
		took  time.Duration
		text  string
		kept  int64
	}{
		{"header", download.ClientOptions{Header: 20 * time.Second}, silent, 20 * time.Second, "no reply within 20s", 0},
		{"stall", download.ClientOptions{Stall: 5 * time.Second}, func(conn net.Conn) {
			io.WriteString(conn, head+"some bytes")
			silent(conn)
		}, 5 * time.Second, "stopped sending for 5s", 10},
		{"stall by default", download.ClientOptions{}, func(conn net.Conn) {
			io.WriteString(conn, head+"some bytes")
			silent(conn)
		}, 30 * time.Second, "stopped sending for 30s", 10},
		{"trickle", download.ClientOptions{Stall: 5 * time.Second}, func(conn net.Conn) {
			io.WriteString(conn, head)
			for {
				if _, err := io.WriteString(conn, "xx"); err != nil {
					return
				}
				time.Sleep(500 * time.Millisecond)
			}
		}, 5 * time.Second, "stopped sending: less than 1024 bytes in 5s", 18},
		{"speed", download.ClientOptions{Stall: -1, MinSpeed: 10}, func(conn net.Conn) {
			io.WriteString(conn, head)
			for {
				time.Sleep(500 * time.Millisecond)
				if _, err := io.WriteString(conn, "xx"); err != nil {
					return
				}
			}
		}, 31 * time.Second, "too slowly", 118}, // 1 s until the first measurement, and a window of 30 s
		{"MaxTime", download.ClientOptions{Stall: -1, MaxTime: time.Hour}, func(conn net.Conn) {
			io.WriteString(conn, head+"some bytes")
			silent(conn)
		}, time.Hour, "time limit", 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c.opts.Retries = -1
				client := newPipeClient(c.opts, func(conn net.Conn, _ *http.Request, _ int) { c.serve(conn) })
				defer client.Close()
				defer time.Sleep(time.Second) // gives the server time to notice the end
				begin := time.Now()
				_, err := client.Get(t.Context(), download.Request{URL: "http://slow.test/file.bin", Dir: t.TempDir()})
				e := wantError(t, err, c.name != "MaxTime", c.text)
				if took := time.Since(begin); took != c.took || e.Kept < c.kept {
					t.Errorf("Get() took %v and kept %d bytes, want %v and at least %d", took, e.Kept, c.took, c.kept)
				}
			})
		})
	}
}

// TestGet_SlowButSteady: if 1 KiB arrives in each Stall, Get must succeed, even
// if the whole body takes longer than Stall. A slow consumer is no stall
// either.
func TestGet_SlowButSteady(t *testing.T) {
	for _, c := range []struct {
		name  string
		opts  download.ClientOptions
		pause time.Duration // the pause of the server before each KiB
		event time.Duration // the duration of each call of OnEvent
		took  time.Duration
	}{
		{"steady", download.ClientOptions{Stall: 5 * time.Second}, 4 * time.Second, 0, 40 * time.Second},
		{"enough speed", download.ClientOptions{MinSpeed: 1024}, time.Second, 0, 10 * time.Second},
		{"limit of the rate", download.ClientOptions{Stall: 5 * time.Second, Limit: func(n int) time.Duration {
			return time.Duration(n) * time.Minute / 1024
		}}, 0, 0, 10 * time.Minute},
		{"slow events", download.ClientOptions{Stall: 5 * time.Second}, 0, time.Minute, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := newPipeClient(c.opts, func(conn net.Conn, _ *http.Request, _ int) {
					io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 10240\r\n\r\n")
					for range 10 {
						time.Sleep(c.pause)
						io.WriteString(conn, strings.Repeat("x", 1024))
					}
				})
				defer client.Close()
				begin := time.Now()
				x := sha256Of([]byte(strings.Repeat("x", 10240)))
				got, err := client.Get(t.Context(), download.Request{URL: "http://steady.test/file.bin", Dir: t.TempDir(), Digests: []download.Digest{x},
					OnEvent: func(download.Event) { time.Sleep(c.event) }})
				took := time.Since(begin)
				if err != nil || got.Size != 10240 || got.Attempts != 1 || c.took > 0 && took != c.took {
					t.Errorf("Get() = %+v, %v after %v; want 10 KiB after %v", got, err, took, c.took)
				}
			})
		})
	}
}

// TestGet_LimitEnds: a pause that Limit demands must end when the context
// ends.
func TestGet_LimitEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := download.ClientOptions{Limit: func(int) time.Duration { return time.Hour }}
		client := newPipeClient(opts, func(conn net.Conn, _ *http.Request, _ int) {
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
			io.Copy(io.Discard, conn) // blocks until the client closes the connection
		})
		defer client.Close()
		over := errors.New("over")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, over)
		defer cancel()
		begin := time.Now()
		_, err := client.Get(ctx, download.Request{URL: "http://limit.test/file.bin", Dir: t.TempDir()})
		if took := time.Since(begin); !errors.Is(err, over) || took != time.Second {
			t.Errorf("Get() = %v after %v; want the cause after 1s", err, took)
		}
	})
}

// TestGet_SlowDigest: the digest of a continued part is computed after the end
// of the body. It must not count as a stall.
func TestGet_SlowDigest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body := content(1, 3_000_000)
		client := newPipeClient(download.ClientOptions{Stall: 5 * time.Second, MinSpeed: 1}, func(conn net.Conn, r *http.Request, _ int) {
			if r.Header.Get("Range") == "" {
				fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\nETag: \"one\"\r\n\r\n%s", body[:2_000_000])
				return
			}
			from := 0
			fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from)
			fmt.Fprintf(conn, "HTTP/1.1 206 X\r\nContent-Length: %d\r\nETag: \"one\"\r\nContent-Range: bytes %d-2999999/3000000\r\n\r\n%s",
				3_000_000-from, from, body[from:])
		})
		defer client.Close()
		dir, hashed := t.TempDir(), 0
		got, err := client.Get(t.Context(), download.Request{URL: "http://slow.test/file.bin", Dir: dir, Digests: []download.Digest{sha256Of(body)},
			OnEvent: func(e download.Event) {
				if e.Kind == download.EventHash {
					hashed++
					time.Sleep(time.Minute)
				}
			}})
		if err != nil || got.Attempts != 2 || hashed == 0 {
			t.Errorf("Get() = %+v, %v, %d events of the digest", got, err, hashed)
		}
		wantWhole(t, dir, body)
	})
}

// TestGet_EndOfContext: a context that ends during a pause must end Get with
// its cause and the last error.
func TestGet_EndOfContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := newPipeClient(download.ClientOptions{}, func(conn net.Conn, _ *http.Request, _ int) {
			io.WriteString(conn, "HTTP/1.1 503 Busy\r\nRetry-After: 50\r\n\r\n")
		})
		defer client.Close()
		why := errors.New("enough")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 7*time.Second, why)
		defer cancel()
		begin := time.Now()
		_, err := client.Get(ctx, download.Request{URL: "http://busy.test/file.bin", Dir: t.TempDir()})
		if wantError(t, err, false, "503"); !errors.Is(err, why) || time.Since(begin) != 7*time.Second {
			t.Errorf("Get() = %v after %v", err, time.Since(begin))
		}
	})
}

// TestGet_Mirrors: after an error of one address, Get must use the next
// address at once, and continue the part if the version is the same.
func TestGet_Mirrors(t *testing.T) {
	for _, c := range []struct {
		name    string
		first   func(s *site)
		resumed bool // whether the second server receives a request for a range
	}{
		{"missing", func(s *site) { s.handler = http.NotFound }, false},
		{"busy for an hour", func(s *site) {
			s.handler = func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Retry-After", "3600")
				w.WriteHeader(503)
			}
		}, false},
		{"breaks", func(s *site) { s.cut = 200_000 }, true},
		{"another version", func(s *site) { s.cut, s.tag, s.body = 200_000, `"old"`, content(9, 300_000) }, true},
		{"wrong file", func(s *site) { s.body = content(9, 400_000) }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			bad, good := newSite(400_000), newSite(400_000)
			c.first(bad)
			dir := t.TempDir()
			client := newClient(t, download.ClientOptions{Retries: -1, RetryDelay: time.Hour})
			got, err := client.Get(t.Context(), download.Request{URL: bad.open(t), Mirrors: []string{good.open(t)}, Dir: dir,
				Digests: []download.Digest{sha256Of(good.body)}})
			if err != nil || got.Attempts != 2 || bad.count() != 1 || good.count() != 1 {
				t.Fatalf("Get() = %+v, %v, %d and %d requests", got, err, bad.count(), good.count())
			}
			if r := good.last().Header.Get("Range"); (r != "") != c.resumed {
				t.Errorf("the second server received the range %q", r)
			}
			wantWhole(t, dir, good.body)
		})
	}
}

// TestGet_Acquire: a pause between two attempts must not hold a slot.
func TestGet_Acquire(t *testing.T) {
	s := newSite(300_000)
	s.cut = 200_000
	held, hosts := 0, 0
	url := s.open(t)
	client := newClient(t, download.ClientOptions{Acquire: func(_ context.Context, host string) (func(error), error) {
		if strings.Contains(url, host) {
			hosts++
		}
		held++
		return func(error) { held-- }, nil
	}})
	got, err := client.Get(t.Context(), download.Request{URL: url, Dir: t.TempDir(), OnEvent: func(e download.Event) {
		if want := map[bool]int{true: 0, false: 1}[e.Kind == download.EventRetry]; held != want {
			t.Errorf("%d slots held at the event %q", held, e.Kind)
		}
	}})
	if err != nil || got.Attempts != 2 || hosts != 2 || held != 0 {
		t.Errorf("Get() = %+v, %v; %d slots acquired, %d held", got, err, hosts, held)
	}
	refuse := errors.New("no slots")
	client = newClient(t, download.ClientOptions{Acquire: func(context.Context, string) (func(error), error) { return nil, refuse }})
	if _, err := client.Get(t.Context(), download.Request{URL: url, Dir: t.TempDir()}); !errors.Is(err, refuse) {
		t.Errorf("Get() = %v", err)
	}
}

// TestGet_ChecksumTwice: after a wrong digest, there is at most one further
// attempt, because the file is probably wrong.
func TestGet_ChecksumTwice(t *testing.T) {
	s := newSite(1000)
	dir := t.TempDir()
	_, err := newClient(t, download.ClientOptions{}).Get(t.Context(), download.Request{URL: s.open(t), Dir: dir, Digests: []download.Digest{sha256Of(nil)}})
	if wantError(t, err, true, "wrong checksum"); !errors.Is(err, download.ErrChecksum) || s.count() != 2 {
		t.Errorf("error = %v after %d requests", err, s.count())
	}
	wantFiles(t, dir)
}
