package jet

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

// loadKey reads a key file: the seed of an nkey, and certificates. Its errors
// do not contain the content of the file.
func (c *Conn) loadKey(file string) error {
	c.keyFile = file
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("cluster: reading the key: %w", err)
	}
	defer clear(text)
	if c.key, err = nkeys.ParseDecoratedNKey(text); err != nil {
		return fmt.Errorf("cluster: %s is not a key file: it has no seed of an nkey", file)
	}
	if c.Public, err = c.key.PublicKey(); err != nil {
		return fmt.Errorf("cluster: %s: %w", file, err)
	}
	if err := c.loadCertificates(text); err != nil {
		return fmt.Errorf("cluster: %s: %w", file, err)
	}
	if c.Signer, err = wire.NewSigner(c.key, c.certificate); err != nil {
		return fmt.Errorf("cluster: %s: %w", file, err)
	}
	return nil
}

const authorityBlock = "CERTIFICATE" // the type of a PEM block

// loadCertificates reads the certificates of a key file. The first one is the
// certificate of the authority. A damaged certificate is an error: if it were
// ignored, the connection would trust the certificates of the system.
func (c *Conn) loadCertificates(text []byte) error {
	pool := x509.NewCertPool()
	left := 0 // number of lines that begin or end a block that was not decoded
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
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return fmt.Errorf("a certificate is damaged: %w", err)
			}
			pool.AddCert(cert)
			if c.tls == nil {
				c.tls = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
				c.Authority, _ = cert.PublicKey.(*ecdsa.PublicKey)
			}
		case wire.CertificateBlock:
			c.certificate = block.Bytes
		}
	}
	if left != 0 {
		return errors.New("a certificate is damaged")
	}
	if c.certificate == nil {
		return nil
	}
	if c.Authority == nil {
		return errors.New("the certificate of the authority is missing, so the certificate of the key cannot be verified")
	}
	_, err := wire.VerifyCertificate(c.Authority, c.certificate, c.Public)
	return err
}

// remakeHint is the part of an error that says how to replace a key file of an
// earlier version.
const remakeHint = "make the key again, with concertd key, or Keyring.Add of package server"

// CheckClientKey returns an error if the key has no certificate, because
// workers would refuse the tasks that the key signs.
func (c *Conn) CheckClientKey() error {
	if c.key != nil && c.certificate == nil {
		return fmt.Errorf("cluster: %s has no certificate of its key, so workers would refuse its tasks: %s", c.keyFile, remakeHint)
	}
	return nil
}

// CheckWorkerKey returns an error if the worker could not verify clients.
func (c *Conn) CheckWorkerKey() error {
	if c.key != nil && c.Authority == nil {
		return fmt.Errorf("cluster: %s has no certificate of the authority, so a worker cannot verify clients: %s", c.keyFile, remakeHint)
	}
	return nil
}
