package cluster

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"concert/cluster/internal/wire"
)

// Access configures the connection to the servers, and the key for it. The zero
// value is for servers that require no key.
type Access struct {
	// Key is the name of a key file, as concertd makes it. The file holds the
	// seed of an nkey and, in the PEM format, the certificate of the authority,
	// which identifies servers and clients, and the certificate of the key.
	// Empty means that the servers require no key.
	Key string

	// TLS is for servers with other certificates. Nil means the certificates in
	// the key file, if it has any. Otherwise the URL's scheme decides, with the
	// system's certificates.
	TLS *tls.Config

	// InProcess, if set, is a server in this process, such as
	// [concert/cluster/server.Server]. Then the URL is ignored.
	InProcess interface {
		InProcessConn() (net.Conn, error)
	}
}

// link is a connection to the servers.
type link struct {
	nc     *nats.Conn
	js     jetstream.JetStream
	api    string        // how requests to JetStream begin, with a dot
	key    nkeys.KeyPair // nil unless there is one
	signer *wire.Signer  // by that; likewise
	file   string        // that it is from
	public string        // its public half
	tls    *tls.Config   // with the certificates that came with it; nil if there were none

	authority   *ecdsa.PublicKey // of the first of these; nil if there were none
	certificate []byte           // of the key, see wire.Certify; nil if there was none

	background crew // what close waits for

	era atomic.Int64 // of the consumer that is pulled from: how often it was made anew, see message

	missed      signal // messages of a subscription may have been missed
	reconnected signal // the connection was lost, and is there again: what was asked on the old one is not answered

	mu      sync.Mutex
	refused map[*context.CancelCauseFunc]struct{} // guarded by mu: those who are told what the key may not do: see hearRefusals

	acked  func(msg *nats.Msg, note any, sequence uint64) // called when a published message is stored, with its number in the stream; may be nil
	failed func(msg *nats.Msg, note any, why error)       // called when a published message is not stored, as far as the client knows

	posting sync.Mutex
	posted  map[*nats.Msg]any // guarded by posting: what messages are about of which it is not known yet whether they are stored
}

// connect connects to the servers, and stays connected: when a connection is
// lost it tries again without end.
func (a *Access) connect(ctx context.Context, url, name string, l *link) error {
	if err := checkURLs(url); err != nil {
		return err
	}
	opts := []nats.Option{
		nats.Name(name),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(100 * time.Millisecond),
		nats.ReconnectJitter(50*time.Millisecond, 200*time.Millisecond),
		nats.PingInterval(5 * time.Second),
		nats.MaxPingsOutstanding(2),
		nats.IgnoreAuthErrorAbort(), // a key that is taken away may be given back
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			slog.Warn("cluster: "+name, "error", err)
			switch {
			case errors.Is(err, nats.ErrPermissionViolation):
				l.refuse(err)
			case errors.Is(err, nats.ErrSlowConsumer):
				l.missed.fire()
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) {
			l.reconnected.fire()
			l.missed.fire()
		}),
	}
	if a.Key != "" {
		if err := l.load(a.Key); err != nil {
			return err
		}
		opts = append(opts, nats.Nkey(l.public, l.key.Sign), nats.CustomInboxPrefix("_INBOX_"+l.public))
	}
	switch {
	case a.InProcess != nil:
		opts = append(opts, nats.InProcessServer(a.InProcess))
	case a.TLS != nil:
		opts = append(opts, nats.Secure(a.TLS))
	case l.tls != nil:
		opts = append(opts, nats.Secure(l.tls))
	}
	patience := stepTime
	if d, ok := ctx.Deadline(); ok {
		patience = max(time.Millisecond, min(time.Until(d), patience))
	}
	opts = append(opts, nats.Timeout(patience))
	var err error
	if l.nc, err = nats.Connect(url, opts...); errors.Is(err, nats.ErrAuthorization) {
		if a.Key == "" {
			return fmt.Errorf("cluster: %s requires a key, and Access.Key is empty", Redacted(url))
		}
		return fmt.Errorf("cluster: %s does not know the key of %s (%s)", Redacted(url), a.Key, l.public)
	} else if err != nil && strings.Contains(err.Error(), "account active connections exceeded") { // nats.go does not always return its own error value
		return fmt.Errorf("cluster: %s has too many connections with the key of %s (%s): close some, or raise the limit with concertd serve --connections", Redacted(url), a.Key, l.public)
	} else if err != nil {
		if a.Key == "" && a.TLS == nil && errors.As(err, new(x509.UnknownAuthorityError)) {
			return fmt.Errorf("cluster: cannot verify the certificate of %s without a key: a key file has the certificate of the authority: %w", Redacted(url), err)
		}
		if errors.Is(err, nats.ErrNoServers) {
			return fmt.Errorf("cluster: no server answers at %s: is concertd or another NATS server running there, and is the port right? %w", Redacted(url), err)
		}
		return fmt.Errorf("cluster: no connection to %s: %w", Redacted(url), err)
	}
	if err := l.speak("$JS.API"); err != nil {
		l.nc.Close()
		return err
	}
	return nil
}

// speak has requests to JetStream begin with a prefix.
func (l *link) speak(prefix string) (err error) {
	l.api = prefix + "."
	l.posted = map[*nats.Msg]any{}
	opts := append(l.watchPostings(), jetstream.WithPublishAsyncTimeout(postTime), jetstream.WithPublishAsyncMaxPending(1<<14))
	l.js, err = jetstream.NewWithAPIPrefix(l.nc, prefix, opts...)
	if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	return nil
}

// owner is what the subjects that belong to this link's worker have in them:
// the public half of the key, if there is one.
func (l *link) owner() string {
	if l.public == "" {
		return wire.Anyone
	}
	return l.public
}

// close ends the connection, after what was published has left.
func (l *link) close() {
	l.background.Wait()
	if err := l.nc.FlushTimeout(time.Second); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		slog.Debug("cluster: closing", "error", err)
	}
	l.nc.Close()
}
