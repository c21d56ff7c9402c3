package server

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"golang.org/x/time/rate"
)

// recorded are parts of the NATS server's errors and warnings that a person who
// looks after the servers should know of: who is refused, or dropped since it does
// not read what it is sent.
var recorded = []string{
	"authentication error", "authentication timeout", "authorization violation", "slow consumer",
	"connections exceeded", "subscriptions exceeded", "maximum control line exceeded", "tls handshake error",
}

// recorder passes some records of the NATS server to package slog: not more than a
// few a second, as anybody can cause them.
type recorder struct{ limit *rate.Limiter }

func newRecorder() *recorder {
	return &recorder{rate.NewLimiter(rate.Every(time.Second), 20)}
}

func (r *recorder) record(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	lower := strings.ToLower(text)
	for _, part := range recorded {
		if strings.Contains(lower, part) && r.limit.Allow() {
			slog.Warn("server: a connection is refused or closed", "reason", text)
			return
		}
	}
}

// Errorf implements the Logger of the NATS server.
func (r *recorder) Errorf(format string, args ...any) { r.record(format, args...) }

// Warnf implements the Logger of the NATS server.
func (r *recorder) Warnf(format string, args ...any) { r.record(format, args...) }

// Noticef implements the Logger of the NATS server.
func (r *recorder) Noticef(format string, args ...any) { r.record(format, args...) }

// Fatalf implements the Logger of the NATS server.
func (r *recorder) Fatalf(format string, args ...any) {
	slog.Error("server: " + fmt.Sprintf(format, args...))
}

// Debugf implements the Logger of the NATS server.
func (*recorder) Debugf(string, ...any) {}

// Tracef implements the Logger of the NATS server.
func (*recorder) Tracef(string, ...any) {}
