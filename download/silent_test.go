package download

import (
	"crypto/tls"
	"net"
	"testing"
	"time"
)

// TestCloseIfSilent_Reads: a connection without a read since the given time
// must be closed. A connection with a read since then must stay open.
func TestCloseIfSilent_Reads(t *testing.T) {
	for _, isTLS := range []bool{false, true} {
		for _, silent := range []bool{false, true} {
			here, there := net.Pipe()
			watched := &watchedConn{Conn: here}
			begin := time.Now()
			if !silent {
				go there.Write([]byte("x"))
				if _, err := watched.Read(make([]byte, 1)); err != nil {
					t.Fatal(err)
				}
			}
			var conn net.Conn = watched
			if isTLS {
				conn = tls.Client(watched, &tls.Config{ServerName: "test"})
			}
			closeIfSilent(conn, begin)
			if err := here.SetDeadline(time.Time{}); (err != nil) != silent {
				t.Errorf("TLS %v, silent %v: the connection has the state %v", isTLS, silent, err)
			}
			here.Close()
			there.Close()
		}
	}
}
