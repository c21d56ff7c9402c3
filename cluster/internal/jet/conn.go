package jet

import (
	"cmp"
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
	"concert/internal/serverurl"
)

// Conn is a connection to the servers. When the connection is lost, Conn tries
// to reconnect until it succeeds. Its methods are safe for concurrent use.
type Conn struct {
	NC *nats.Conn
	JS jetstream.JetStream

	api string // prefix of requests to JetStream, with a dot

	key         nkeys.KeyPair    // nil without a key
	keyFile     string           // the file of the key
	certificate []byte           // certificate of the key, see wire.Certify; nil if the file has none
	tls         *tls.Config      // trusts the authority in the key file; nil if the file has none
	Public      string           // public half of the key; "" without a key
	Signer      *wire.Signer     // signs with the key; nil without a key
	Authority   *ecdsa.PublicKey // key of the authority in the key file; nil if the file has none

	Times Times

	Background Group // goroutines that Close waits for

	generation atomic.Int64 // generation of the consumer of tasks: see NextGeneration

	missed      Signal // fires when a subscription may have missed messages
	Reconnected Signal // fires when the connection was restored; earlier requests get no answer

	mu       sync.Mutex
	refusals map[*context.CancelCauseFunc]struct{} // guarded by mu: see onRefusal

	// OnAck is called when the servers have stored a message of Publish, with
	// its sequence number in the stream. OnNack is called when the servers have
	// refused the message, or have not acknowledged it in time. Either may be
	// nil. Set them before the first Publish.
	OnAck  func(msg *nats.Msg, note any, sequence uint64)
	OnNack func(msg *nats.Msg, note any, why error)

	publishMu sync.Mutex
	pending   map[*nats.Msg]any // guarded by publishMu: the notes of messages that are not acknowledged

	publishTimeout time.Duration // a message that is not acknowledged within this time counts as not stored; zero means RequestTimeout
}

// Access configures a connection. Its first fields are the fields of
// cluster.Access.
type Access struct {
	Key       string      // name of a key file; "" for servers that require no key
	TLS       *tls.Config // for servers whose certificates are not signed by the authority in the key file; may be nil
	InProcess interface { // a server in this process, or nil
		InProcessConn() (net.Conn, error)
	}
	Times *Times // nil means DefaultTimes
}

// keyHint says how to make and pass a key.
const keyHint = "make one with 'concertd key --out FILE ROLE NAME', then pass --key FILE to a command, or set Access.Key to FILE in a program"

// Connect connects to servers. The operator of the servers sees the name of
// the connection.
func Connect(ctx context.Context, url, name string, a Access) (*Conn, error) {
	if err := serverurl.Check(url); err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	c := &Conn{Times: DefaultTimes()}
	if a.Times != nil {
		c.Times = *a.Times
	}
	opts := []nats.Option{
		nats.Name(name),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(100 * time.Millisecond),
		nats.ReconnectJitter(50*time.Millisecond, 200*time.Millisecond),
		nats.PingInterval(5 * time.Second),
		nats.MaxPingsOutstanding(2),
		nats.IgnoreAuthErrorAbort(), // a revoked key may become valid again
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			slog.Warn("cluster: "+name, "error", err)
			switch {
			case errors.Is(err, nats.ErrPermissionViolation):
				c.refuse(err)
			case errors.Is(err, nats.ErrSlowConsumer):
				c.missed.fire()
			}
		}),
		nats.DisconnectErrHandler(func(nc *nats.Conn, err error) {
			if err != nil && !nc.IsClosed() {
				slog.Warn("cluster: "+name+": lost the connection to the servers; trying to restore it", "error", err)
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) {
			slog.Warn("cluster: " + name + ": the connection to the servers is restored")
			c.Reconnected.fire()
			c.missed.fire()
		}),
	}
	if a.Key != "" {
		if err := c.loadKey(a.Key); err != nil {
			return nil, err
		}
		opts = append(opts, nats.Nkey(c.Public, c.key.Sign), nats.CustomInboxPrefix("_INBOX_"+c.Public))
	}
	switch {
	case a.InProcess != nil:
		opts = append(opts, nats.InProcessServer(a.InProcess))
	case a.TLS != nil:
		opts = append(opts, nats.Secure(a.TLS))
	case c.tls != nil:
		opts = append(opts, nats.Secure(c.tls))
	}
	timeout := RequestTimeout
	if d, ok := ctx.Deadline(); ok {
		timeout = max(time.Millisecond, min(time.Until(d), timeout))
	}
	opts = append(opts, nats.Timeout(timeout))
	var err error
	if c.NC, err = nats.Connect(url, opts...); errors.Is(err, nats.ErrAuthorization) {
		if a.Key == "" {
			return nil, fmt.Errorf("cluster: %s requires a key: %s", serverurl.Redacted(url), keyHint)
		}
		return nil, fmt.Errorf("cluster: %s refuses the key of %s (%s): its keyring does not have this key; 'concertd keys' lists those that it has, and 'concertd key' makes another one", serverurl.Redacted(url), a.Key, c.Public)
	} else if err != nil && strings.Contains(err.Error(), "account active connections exceeded") { // nats.go does not always return its own error value
		return nil, fmt.Errorf("cluster: %s has too many connections with the key of %s (%s): close some, or raise the limit with concertd serve --connections", serverurl.Redacted(url), a.Key, c.Public)
	} else if err != nil {
		if a.Key == "" && a.TLS == nil && errors.As(err, new(x509.UnknownAuthorityError)) {
			return nil, fmt.Errorf("cluster: %s requires a key if it is concertd: %s. Without a key file, the certificate of the server cannot be verified: %w", serverurl.Redacted(url), keyHint, err)
		}
		if a.Key != "" && a.TLS == nil && errors.As(err, new(x509.UnknownAuthorityError)) {
			return nil, fmt.Errorf("cluster: the key file %s is not for %s: it was made with another keyring; make one with the keyring of this server, by 'concertd key --dir DIR': %w", a.Key, serverurl.Redacted(url), err)
		}
		if errors.Is(err, nats.ErrNoServers) {
			return nil, fmt.Errorf("cluster: no server answers at %s: is concertd or another NATS server running there, and is the port right? 'concertd serve' starts one: %w", serverurl.Redacted(url), err)
		}
		return nil, fmt.Errorf("cluster: no connection to %s: %w", serverurl.Redacted(url), err)
	}
	if err := c.useAPI("$JS.API"); err != nil {
		c.NC.Close()
		return nil, err
	}
	return c, nil
}

// useAPI sets the prefix of requests to JetStream.
func (c *Conn) useAPI(prefix string) (err error) {
	c.api = prefix + "."
	c.pending = map[*nats.Msg]any{}
	opts := append(c.publishOptions(), jetstream.WithPublishAsyncTimeout(cmp.Or(c.publishTimeout, RequestTimeout)), jetstream.WithPublishAsyncMaxPending(1<<14))
	c.JS, err = jetstream.NewWithAPIPrefix(c.NC, prefix, opts...)
	if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	return nil
}

// Owner returns the owner of the workers that use this connection: the public
// half of the key, or wire.Anyone. The subjects of these workers contain the
// owner.
func (c *Conn) Owner() string {
	if c.Public == "" {
		return wire.Anyone
	}
	return c.Public
}

// Close waits for the goroutines in Background, sends published messages that
// are still buffered, and closes the connection.
func (c *Conn) Close() {
	c.Background.Wait()
	if err := c.NC.FlushTimeout(time.Second); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		slog.Debug("cluster: closing the connection", "error", err)
	}
	c.NC.Close()
}

// HasKey reports whether the connection has a key. If it has one, the servers
// require keys.
func (c *Conn) HasKey() bool { return c.key != nil }

// NextGeneration records that the consumer of tasks was created again, maybe
// with its stream. Then messages of the earlier consumer must not be
// acknowledged, because new messages may have the same sequence numbers.
func (c *Conn) NextGeneration() { c.generation.Add(1) }
