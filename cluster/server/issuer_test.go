package server

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func newTestIssuer(t *testing.T) (*Keyring, *issuer) {
	t.Helper()
	k, err := NewKeyring(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	i, err := newIssuer(k, []string{"localhost"})
	if err != nil {
		t.Fatal(err)
	}
	return k, i
}

// TestIssuer_RenewsCertificates: a server must have a valid certificate at any
// time. It must make a new certificate every 45 days.
func TestIssuer_RenewsCertificates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, i := newTestIssuer(t)
		var before *tls.Certificate
		changes := 0
		for range 200 {
			c, err := i.certificate()
			if err != nil {
				t.Fatal(err)
			}
			leaf, err := x509.ParseCertificate(c.Certificate[0])
			if err != nil {
				t.Fatal(err)
			}
			if left := time.Until(leaf.NotAfter); left < certificateLife/2-24*time.Hour {
				t.Fatalf("the certificate is valid for only %v more", left)
			}
			if _, err := leaf.Verify(x509.VerifyOptions{Roots: i.clientsRoots(), CurrentTime: time.Now(), DNSName: "localhost"}); err != nil {
				t.Fatal(err)
			}
			if c != before {
				changes++
				before = c
			}
			time.Sleep(24 * time.Hour)
		}
		if changes != 5 {
			t.Errorf("%d certificates in 200 days, want 5", changes)
		}
	})
}

// clientsRoots returns the certificates by which a client verifies servers.
func (i *issuer) clientsRoots() *x509.CertPool { return i.serverTLS.RootCAs }

// TestServer_AuthenticatesServers: if a program connects as a server without a
// certificate of the same authority, the server must refuse it.
func TestServer_AuthenticatesServers(t *testing.T) {
	k, own := newTestIssuer(t)
	_, other := newTestIssuer(t)
	at := freeAddress(t)
	s, err := New(&Options{Listen: "127.0.0.1:0", Keyring: k, Hosts: []string{"localhost"}, Join: &Join{Name: "one", Listen: at, Others: []string{"127.0.0.1:1", "127.0.0.1:2"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, c := range []struct {
		who  string
		show func(*tls.CertificateRequestInfo) (*tls.Certificate, error)
		in   bool
	}{
		{"a server of this cluster", own.serverTLS.GetClientCertificate, true},
		{"no certificate", func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &tls.Certificate{}, nil }, false},
		{"a server of another cluster", other.serverTLS.GetClientCertificate, false},
	} {
		t.Run(c.who, func(t *testing.T) {
			err := greet(at, &tls.Config{GetClientCertificate: c.show, RootCAs: own.serverTLS.RootCAs, ServerName: "localhost"})
			if (err == nil) != c.in || err != nil && !strings.Contains(err.Error(), "tls:") {
				t.Errorf("%s: error %v; want that the server accepts it: %v", c.who, err, c.in)
			}
		})
	}
	// A server must not connect to a server of another authority.
	err = greet(at, &tls.Config{GetClientCertificate: other.serverTLS.GetClientCertificate, RootCAs: other.serverTLS.RootCAs, ServerName: "localhost"})
	if !errors.As(err, new(x509.UnknownAuthorityError)) {
		t.Errorf("%v, want that the authority is unknown", err)
	}
}

// greet connects to a server as another server does, and waits for the first
// message of the server.
func greet(at string, config *tls.Config) error {
	raw, err := net.Dial("tcp", at)
	if err != nil {
		return err
	}
	defer raw.Close()
	raw.SetDeadline(time.Now().Add(20 * time.Second))
	_, err = bufio.NewReader(tls.Client(raw, config)).ReadString('\n')
	return err
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
