package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"concert/internal/logtest"
)

// TestNATSLogger: a server must log each key that it refuses. If many
// connections are refused, the server must log only some of the refusals.
func TestNATSLogger(t *testing.T) {
	var logged logtest.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&logged, nil)))
	defer slog.SetDefault(before)
	s, one, _ := fourSessions(t)
	stranger, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, err := stranger.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Connect(s.URL(), client.Secure(one.tls), client.Nkey(public, stranger.Sign)); err == nil {
		t.Fatal("the server accepts an unknown key")
	}
	for begin := time.Now(); !strings.Contains(logged.String(), public); time.Sleep(time.Millisecond) {
		if time.Since(begin) > 20*time.Second {
			t.Fatalf("the log does not contain the refused key: %s", logged.String())
		}
	}
	if _, err := client.Connect(s.URL(), client.Secure()); err == nil {
		t.Fatal("a client without a key file accepts the server's certificate")
	}
	for begin := time.Now(); !strings.Contains(logged.String(), "usually a program without a key"); time.Sleep(time.Millisecond) {
		if time.Since(begin) > 20*time.Second {
			t.Fatalf("the log does not explain the failed handshake: %s", logged.String())
		}
	}
	r := newNATSLogger()
	for i := range 10_000 {
		r.Errorf("authentication error of flood %d", i)
	}
	if n := strings.Count(logged.String(), "of flood"); n < 1 || n > 100 {
		t.Error(fmt.Sprint(n, " records of a flood, want 1 to 100"))
	}
	r = newNATSLogger()
	r.Noticef("Server is ready")
	if strings.Contains(logged.String(), "ready") {
		t.Error("a record that no operator needs was logged")
	}
}

// TestNATSLogger_Fatal: if NATS reports a fatal error, the error of New must
// have the text of the report. If the server cannot listen, New must return the
// error of package net, which contains the address.
func TestNATSLogger_Fatal(t *testing.T) {
	inUse := &net.OpError{Op: "listen", Net: "tcp", Err: errors.New("address already in use")}
	for _, c := range []struct {
		format string
		args   []any
		want   string
	}{
		{"Can't start JetStream: %v", []any{errors.New("no space left on device")}, "Can't start JetStream: no space left on device"},
		{"Error setting server INFO with ClientAdvertise value of %s, err=%v", []any{"h:abc", strconv.ErrSyntax}, "Error setting server INFO with ClientAdvertise value of h:abc, err=invalid syntax"},
		{"Error listening on port: %s, %q", []any{"127.0.0.1:4222", inUse}, "listen tcp: address already in use"},
	} {
		t.Run(c.format, func(t *testing.T) {
			r := newNATSLogger()
			r.Fatalf(c.format, c.args...)
			if err := <-r.fatal; err.Error() != c.want {
				t.Errorf("%q, want %q", err, c.want)
			}
		})
	}
}
