package server

import (
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// loggedRecords are texts in errors and warnings of the NATS server. The
// operator needs a record with one of these texts: a connection was refused, or
// was closed because the client does not read its messages.
var loggedRecords = []string{
	"authentication error", "authentication timeout", "authorization violation", "slow consumer",
	"connections exceeded", "subscriptions exceeded", "maximum control line exceeded", "tls handshake error",
}

// distrustHint is the hint in the log record about a client that has rejected
// the server's certificate.
const distrustHint = "usually a program without a key, or with a key file of another keyring: give it one that concertd key makes"

// natsLogger logs some records of the NATS server by package slog. Any client
// can cause such records. So after the first 20 records, natsLogger logs at
// most one per second.
type natsLogger struct {
	limit *rate.Limiter
	ready atomic.Bool // the server accepts connections, so New does not return a later fatal error
	fatal chan error  // the first fatal error before ready
}

func newNATSLogger() *natsLogger {
	return &natsLogger{limit: rate.NewLimiter(rate.Every(time.Second), 20), fatal: make(chan error, 1)}
}

func (r *natsLogger) record(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	lower := strings.ToLower(text)
	for _, part := range loggedRecords {
		if strings.Contains(lower, part) && r.limit.Allow() {
			attrs := []any{"reason", text}
			if strings.Contains(lower, "remote error: tls") {
				attrs = append(attrs, "hint", distrustHint)
			}
			slog.Warn("server: connection refused or closed", attrs...)
			return
		}
	}
}

// Errorf implements the Logger of the NATS server.
func (r *natsLogger) Errorf(format string, args ...any) { r.record(format, args...) }

// Warnf implements the Logger of the NATS server.
func (r *natsLogger) Warnf(format string, args ...any) { r.record(format, args...) }

// Noticef implements the Logger of the NATS server.
func (r *natsLogger) Noticef(format string, args ...any) { r.record(format, args...) }

// Fatalf implements the Logger of the NATS server, which cannot continue after
// this record. Until the server is ready, New returns the text of the first
// such record as an error.
func (r *natsLogger) Fatalf(format string, args ...any) {
	err := fmt.Errorf(format, args...)
	if r.ready.Load() {
		slog.Error("server: " + err.Error())
		return
	}
	for _, arg := range args {
		if cause, ok := arg.(*net.OpError); ok { // it has the address and the reason: for example, that the port is in use
			err = cause
		}
	}
	select {
	case r.fatal <- err:
	default:
	}
}

// Debugf implements the Logger of the NATS server.
func (*natsLogger) Debugf(string, ...any) {}

// Tracef implements the Logger of the NATS server.
func (*natsLogger) Tracef(string, ...any) {}
