package cluster

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"

	"github.com/nats-io/nkeys"

	"concert/cluster/internal/wire"
)

// load reads a key file: the seed of an nkey, and the certificates that came
// with it. Its errors say nothing of what the file holds.
func (l *link) load(file string) error {
	l.file = file
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("cluster: reading the key: %w", err)
	}
	defer clear(text)
	if l.key, err = nkeys.ParseDecoratedNKey(text); err != nil {
		return fmt.Errorf("cluster: %s is not a key file: it has no seed of an nkey", file)
	}
	if l.public, err = l.key.PublicKey(); err != nil {
		return fmt.Errorf("cluster: %s: %w", file, err)
	}
	if err := l.loadCertificates(text); err != nil {
		return fmt.Errorf("cluster: %s: %w", file, err)
	}
	if l.signer, err = wire.NewSigner(l.key, l.certificate); err != nil {
		return fmt.Errorf("cluster: %s: %w", file, err)
	}
	return nil
}

const authorityBlock = "CERTIFICATE" // the type of a PEM block

// loadCertificates reads the certificates of a key file. The first one is that
// of the authority. A damaged one is an error: without it the link would trust
// the certificates of the system.
func (l *link) loadCertificates(text []byte) error {
	pool := x509.NewCertPool()
	left := 0 // lines that begin or end a block which was not decoded
	for line := range bytes.Lines(text) {
		line = bytes.TrimSpace(line)
		if bytes.HasPrefix(line, []byte("--")) || bytes.HasSuffix(line, []byte("--")) {
			left++
		}
		if bytes.Contains(line, []byte("USER NKEY SEED")) || bytes.Contains(line, []byte("NATS USER JWT")) { // the seed may be between such lines
			left--
		}
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		left -= 2
		switch block.Type {
		case authorityBlock:
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return fmt.Errorf("a certificate is damaged: %w", err)
			}
			pool.AddCert(c)
			if l.tls == nil {
				l.tls = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
				l.authority, _ = c.PublicKey.(*ecdsa.PublicKey)
			}
		case wire.CertificateBlock:
			l.certificate = block.Bytes
		}
	}
	if left != 0 {
		return errors.New("a certificate is damaged")
	}
	if l.certificate == nil {
		return nil
	}
	if l.authority == nil {
		return errors.New("it has the certificate of its key, and not the certificate of the authority that it is by")
	}
	_, err := wire.VerifyCertificate(l.authority, l.certificate, l.public)
	return err
}

// remake is what to do about a key file that an earlier version has made.
const remake = "make the key again, with concertd key, or Keyring.Add of package server"

// checkSubmits returns an error if tasks that are signed with the key would be
// refused for a lack of its certificate.
func (l *link) checkSubmits() error {
	if l.key != nil && l.certificate == nil {
		return fmt.Errorf("cluster: %s has no certificate of its key, without which workers run no task that it signs: %s", l.file, remake)
	}
	return nil
}

// checkServes returns an error if the worker could not know clients.
func (l *link) checkServes() error {
	if l.key != nil && l.authority == nil {
		return fmt.Errorf("cluster: %s has no certificate of the authority, by which a worker knows clients: %s", l.file, remake)
	}
	return nil
}
