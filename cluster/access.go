package cluster

import (
	"context"
	"crypto/tls"
	"net"

	"concert/cluster/internal/jet"
)

// Access configures the connection to the servers, and the key for it. The zero
// value is for servers that require no key.
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

// connect connects to the servers.
func (a *Access) connect(ctx context.Context, url, name string) (*jet.Conn, error) {
	return jet.Connect(ctx, url, name, jet.Access{Key: a.Key, TLS: a.TLS, InProcess: a.InProcess, Times: a.times})
}
