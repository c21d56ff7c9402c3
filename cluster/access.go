package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	"github.com/nats-io/nats.go"

	"concert/cluster/internal/jet"
	"concert/internal/devserver"
)

// Access configures the connection to the servers, and the key for it. The zero
// value is for servers that require no key, and for the default server: see
// [Dial].
type Access struct {
	// Key is the name of a key file that concertd has made. The file contains
	// the seed of an nkey and two certificates in the PEM format: the
	// certificate of the key, and the certificate of the authority that
	// certifies all servers and keys. Empty means that the servers require no
	// key.
	Key string

	// TLS is for servers whose certificates are not from the authority in the
	// key file. Nil means the certificates in the key file. Without a key file,
	// the connection uses TLS if the URL says so, with the certificates of the
	// system.
	TLS *tls.Config

	// InProcess, if set, is a server in this process, such as
	// [concert/cluster/server.Server]. Then the URL is ignored.
	InProcess interface {
		InProcessConn() (net.Conn, error)
	}

	times *jet.Times // nil except in tests
}

// connect connects to the servers, or to the default server if the URL is
// empty.
func (a *Access) connect(ctx context.Context, url, name string) (*jet.Conn, error) {
	found := devserver.Found{URL: url, Key: a.Key}
	if a.InProcess == nil && a.TLS == nil {
		var err error
		if found, err = devserver.Find(url, a.Key); err != nil {
			return nil, fmt.Errorf("cluster: %w", err)
		}
	}
	conn, err := jet.Connect(ctx, found.URL, name, jet.Access{Key: found.Key, TLS: a.TLS, InProcess: a.InProcess, Times: a.times})
	switch {
	case found.Record == "" || err == nil:
		return conn, err
	case errors.Is(err, nats.ErrNoServers):
		return nil, fmt.Errorf("cluster: no server answers at %s, where 'concertd dev' ran (%s says so): it has ended, so run 'concertd dev' again in another terminal: %w", found.URL, found.Record, nats.ErrNoServers)
	default:
		return nil, fmt.Errorf("%w (this is the server that 'concertd dev' has named in %s; if it has ended, run 'concertd dev' again)", err, found.Record)
	}
}
