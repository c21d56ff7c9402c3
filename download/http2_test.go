package download_test

import (
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"concert/download"
)

// TestGet_HTTP2Abort: Get must continue the file after the server resets an
// HTTP/2 stream.
func TestGet_HTTP2Abort(t *testing.T) {
	for _, http1 := range []bool{false, true} {
		s := newSite(500_000)
		s.cut = 200_000
		server := httptest.NewUnstartedServer(s)
		server.EnableHTTP2 = true
		server.StartTLS()
		defer server.Close()
		dir := t.TempDir()
		client := newClient(t, download.ClientOptions{RootCAs: pool(server), HTTP1: http1})
		got, err := client.Get(t.Context(), download.Request{URL: server.URL + "/file.bin", Dir: dir, Digests: []download.Digest{sha256Of(s.body)}})
		if err != nil || got.Attempts < 3 {
			t.Errorf("Get() = %+v, %v", got, err)
		}
		if major := s.last().ProtoMajor; (major == 1) != http1 {
			t.Errorf("HTTP1 %v: the request has the version %d", http1, major)
		}
		wantWhole(t, dir, s.body)
	}
}

// The types, flags and errors of HTTP/2 frames that the tests use: RFC 9113,
// sections 6 and 7.
const (
	frameData, frameHeaders, frameReset, frameSettings, framePing, frameGoAway = 0, 1, 3, 4, 6, 7

	flagAck, flagEndStream, flagEndHeaders = 1, 1, 4

	noError, internalError, refusedStream, canceledStream, enhanceYourCalm = 0, 2, 7, 8, 11
)

// frameConn is a connection of a frameServer.
type frameConn struct {
	net.Conn
	isSilent bool // whether the server sends no acknowledgment
}

func (c *frameConn) frame(kind, flags byte, stream uint32, payload []byte) {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind))
	b = append(b, flags)
	b = binary.BigEndian.AppendUint32(b, stream)
	c.Write(append(b, payload...))
}

// numbers sends a frame whose payload consists of numbers.
func (c *frameConn) numbers(kind byte, stream uint32, numbers ...uint32) {
	var b []byte
	for _, n := range numbers {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	c.frame(kind, 0, stream, b)
}

// reply sends the header of a reply with the bytes of a file from a position
// on. All names of the fields have fixed numbers (RFC 7541, appendix A), so
// reply needs no dynamic table.
func (c *frameConn) reply(stream uint32, from, total int) {
	field := func(b []byte, index int, value string) []byte {
		return append(append(b, 0x0f, byte(index-15), byte(len(value))), value...)
	}
	b := []byte{0x80 | 8} // :status 200
	if from > 0 {
		b = []byte{0x80 | 10} // :status 206
		b = field(b, 30, fmt.Sprintf("bytes %d-%d/%d", from, total-1, total))
	}
	b = field(b, 28, strconv.Itoa(total-from))
	b = field(b, 34, `"one"`)
	c.frame(frameHeaders, flagEndHeaders, stream, b)
}

func (c *frameConn) data(stream uint32, b []byte, end bool) {
	for len(b) > 0 {
		n := min(len(b), 16<<10)
		flags := byte(0)
		if end && n == len(b) {
			flags = flagEndStream
		}
		c.frame(frameData, flags, stream, b[:n])
		b = b[n:]
	}
}

// frameServer is an HTTP/2 server. For each request, it calls the function
// serve with the number of the request.
type frameServer struct {
	serve    func(c *frameConn, stream uint32, n int)
	conns    atomic.Int32
	requests atomic.Int32
}

func (s *frameServer) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		s.conns.Add(1)
		go s.read(&frameConn{Conn: conn})
	}
}

// read reads the frames of a client.
func (s *frameServer) read(c *frameConn) {
	defer c.Close()
	if _, err := io.ReadFull(c, make([]byte, len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))); err != nil {
		return
	}
	c.frame(frameSettings, 0, 0, nil)
	for {
		head := make([]byte, 9)
		if _, err := io.ReadFull(c, head); err != nil {
			return
		}
		payload := make([]byte, binary.BigEndian.Uint32(head)>>8)
		if _, err := io.ReadFull(c, payload); err != nil {
			return
		}
		kind, flags, stream := head[3], head[4], binary.BigEndian.Uint32(head[5:])
		switch {
		case kind == frameHeaders:
			s.serve(c, stream, int(s.requests.Add(1)))
		case c.isSilent:
		case kind == frameSettings && flags&flagAck == 0:
			c.frame(frameSettings, flagAck, 0, nil)
		case kind == framePing && flags&flagAck == 0:
			c.frame(framePing, flagAck, 0, payload)
		}
	}
}

// TestGet_HTTP2Faults: after each fault of an HTTP/2 stream or connection, the
// next attempt must succeed, with a new connection if the old one is of no use.
func TestGet_HTTP2Faults(t *testing.T) {
	t.Parallel()
	body := content(1, 300_000)
	const got = 50_000 // the bytes that arrive before the fault
	begin := func(c *frameConn, stream uint32) {
		c.reply(stream, 0, len(body))
		c.data(stream, body[:got], false)
	}
	for _, f := range []struct {
		name    string
		fault   func(c *frameConn, stream uint32) // at the first request
		from    int                               // where the next attempt continues
		newConn bool
	}{
		{"reset at once", func(c *frameConn, s uint32) { c.numbers(frameReset, s, internalError) }, 0, false},
		{"reset in the body", func(c *frameConn, s uint32) { begin(c, s); c.numbers(frameReset, s, internalError) }, got, false},
		{"canceled in the body", func(c *frameConn, s uint32) { begin(c, s); c.numbers(frameReset, s, canceledStream) }, got, false},
		{"too many requests", func(c *frameConn, s uint32) { c.numbers(frameReset, s, enhanceYourCalm) }, 0, false},
		{"refused in the body", func(c *frameConn, s uint32) { begin(c, s); c.numbers(frameReset, s, refusedStream) }, got, false},
		{"GOAWAY at once", func(c *frameConn, s uint32) { c.numbers(frameGoAway, 0, 0, noError) }, 0, true},
		{"GOAWAY in the body", func(c *frameConn, s uint32) {
			begin(c, s)
			c.numbers(frameGoAway, 0, s, enhanceYourCalm)
			c.Close()
		}, got, true},
		{"closed at once", func(c *frameConn, s uint32) { c.Close() }, 0, true},
		{"closed in the body", func(c *frameConn, s uint32) { begin(c, s); c.Close() }, got, true},
		{"short body", func(c *frameConn, s uint32) {
			c.reply(s, 0, len(body))
			c.data(s, body[:got], true)
		}, got, false},
		{"invalid header", func(c *frameConn, s uint32) { c.frame(frameHeaders, flagEndHeaders, s, []byte{0xff, 0xff, 0xff}) }, 0, true},
		{"invalid frame", func(c *frameConn, s uint32) { begin(c, s); c.frame(framePing, 0, 5, nil) }, got, true},
		{"silent connection", func(c *frameConn, s uint32) { c.isSilent = true }, 0, true},
		{"silent connection in the body", func(c *frameConn, s uint32) { begin(c, s); c.isSilent = true }, got, true},
		{"silent stream", func(c *frameConn, s uint32) {}, 0, false},
	} {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			// The server uses the certificate of a server of package httptest.
			secure := httptest.NewTLSServer(http.NotFoundHandler())
			config := &tls.Config{Certificates: secure.TLS.Certificates, NextProtos: []string{"h2"}}
			defer secure.Close()
			l, err := tls.Listen("tcp", "127.0.0.1:0", config)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			server := &frameServer{serve: func(c *frameConn, stream uint32, n int) {
				if n == 1 {
					f.fault(c, stream)
					return
				}
				from := max(0, f.from-4<<10) // Get compares the last bytes again
				c.reply(stream, from, len(body))
				c.data(stream, body[from:], true)
			}}
			go server.accept(l)
			opts := download.ClientOptions{RootCAs: pool(secure)}
			if f.newConn || f.name == "silent stream" {
				opts.Header, opts.Stall = 2*time.Second, 2*time.Second
			}
			dir := t.TempDir()
			r, err := newClient(t, opts).Get(t.Context(), download.Request{URL: "https://" + l.Addr().String() + "/file.bin", Dir: dir})
			if err != nil || r.Size != int64(len(body)) {
				t.Errorf("Get() = %+v, %v", r, err)
			}
			if n := server.conns.Load(); f.newConn && n < 2 {
				t.Error("the client made no new connection")
			}
			wantWhole(t, dir, body)
		})
	}
}
