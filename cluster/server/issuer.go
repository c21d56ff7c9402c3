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

// issuer has a server's certificates, which are in memory only: a new one when
// half of the time of the last one is over.
type issuer struct {
	authority *tls.Certificate
	hosts     []string

	clientTLS *tls.Config // for those who show a key
	serverTLS *tls.Config // for other servers, each of which shows a certificate by the same authority

	// The server's own key, for what it does itself: made when it starts, and
	// known to nobody else.
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
		return nil, fmt.Errorf("server: a key: %w", err)
	}
	if i.public, err = own.PublicKey(); err == nil {
		i.seed, err = own.Seed()
	}
	if err != nil {
		return nil, fmt.Errorf("server: a key: %w", err)
	}
	if _, err := i.certificate(); err != nil {
		return nil, fmt.Errorf("server: a certificate: %w", err)
	}
	return i, nil
}

// ownHosts are the names and addresses of this machine.
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

// certificate returns the one for now.
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
