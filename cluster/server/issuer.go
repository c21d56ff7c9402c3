package server

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nkeys"
)

// issuer issues the certificates of the server, and stores them in memory only.
// It issues a new certificate when half of the lifetime of the current
// certificate is over.
type issuer struct {
	authority *tls.Certificate
	hosts     []string

	clientTLS *tls.Config // for clients and workers
	serverTLS *tls.Config // for other servers, which must have a certificate of the same authority

	// The key for the server's own connection. Each start of the server makes a
	// new key, and no other program has it.
	public string
	seed   []byte

	mu      sync.Mutex
	current *tls.Certificate // guarded by mu
	renew   time.Time        // guarded by mu
}

func newIssuer(k *Keyring, hosts []string) (*issuer, error) {
	i := &issuer{hosts: hosts}
	var err error
	if i.authority, err = k.authority(); err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AddCert(i.authority.Leaf)
	i.clientTLS = &tls.Config{
		MinVersion:     tls.VersionTLS13,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return i.certificate() },
	}
	i.serverTLS = &tls.Config{
		MinVersion:           tls.VersionTLS13,
		GetCertificate:       func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return i.certificate() },
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return i.certificate() },
		ClientAuth:           tls.RequireAndVerifyClientCert, ClientCAs: pool, RootCAs: pool,
	}
	if i.hosts == nil {
		i.hosts = ownHosts()
	}
	own, err := nkeys.CreateUser()
	if err != nil {
		return nil, fmt.Errorf("server: making a key: %w", err)
	}
	if i.public, err = own.PublicKey(); err == nil {
		i.seed, err = own.Seed()
	}
	if err != nil {
		return nil, fmt.Errorf("server: making a key: %w", err)
	}
	if _, err := i.certificate(); err != nil {
		return nil, fmt.Errorf("server: making a certificate: %w", err)
	}
	return i, nil
}

// ownHosts returns the names and addresses of this machine.
func ownHosts() []string {
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	if name, err := os.Hostname(); err == nil {
		hosts = append(hosts, name)
	}
	addresses, _ := net.InterfaceAddrs()
	for _, a := range addresses {
		if ip, ok := a.(*net.IPNet); ok && !ip.IP.IsLinkLocalUnicast() {
			hosts = append(hosts, ip.IP.String())
		}
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// certificate returns the current certificate.
func (i *issuer) certificate() (*tls.Certificate, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := time.Now()
	if i.current == nil || now.After(i.renew) {
		c, err := issue(i.authority, i.hosts, now)
		if err != nil {
			return nil, err
		}
		i.current, i.renew = c, now.Add(certificateLife/2)
	}
	return i.current, nil
}
