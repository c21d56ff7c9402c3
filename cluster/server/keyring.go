package server

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nkeys"

	"concert/cluster/internal/wire"
	"concert/internal/filelock"
)

// Role is what the holder of a key may do.
type Role string

// The roles.
const (
	Client Role = "client" // submits tasks, and reads their results
	Worker Role = "worker" // runs tasks of all clients, and submits none
	Admin  Role = "admin"  // may do anything, such as Setup and Inspect
)

// Holder is a person or program that has a key.
type Holder struct {
	Role Role
	Key  string // the public half
	Name string // for people to read
}

// Keyring is a directory that lists who may use a cluster. All servers of the
// cluster have the same keyring: copy it from the first server to the others. A
// program that can read the keyring can make keys, so only the servers may read
// it.
//
//	authority.pem   the certificate of the authority, to verify servers and keys
//	authority.key   the key of the authority, which signs the certificates of servers and of keys
//	keys            a line for each holder: role, public key, name
//	lock            an empty file, which is locked while a program changes the other files
//
// Its methods are safe for concurrent use, also by several programs.
type Keyring struct{ dir string }

const (
	certificateFile = "authority.pem"
	signingFile     = "authority.key"
	holdersFile     = "keys"
	lockedFile      = "lock"
	authorityLife   = 20 * 365 * 24 * time.Hour
)

// NewKeyring opens the keyring in a directory. It creates the keyring and the
// directory if they do not exist.
func NewKeyring(dir string) (*Keyring, error) {
	k := &Keyring{dir}
	switch _, err := os.Stat(k.path(certificateFile)); {
	case err == nil:
		return OpenKeyring(dir)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("server: the keyring: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("server: the keyring: %w", err)
	}
	unlock, err := k.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	if _, err := os.Stat(k.path(certificateFile)); err == nil { // another program has created it in the meantime
		return OpenKeyring(dir)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("server: the keyring: %w", err)
	}
	now := time.Now()
	c := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "concert authority"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(authorityLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("server: the keyring: %w", err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("server: the keyring: %w", err)
	}
	for _, f := range []struct { // the certificate is written last: if it exists, the keyring is complete
		name string
		text []byte
	}{
		{signingFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})},
		{holdersFile, []byte("# role, public key, name; remove a line to revoke the key\n")},
		{certificateFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})},
	} {
		if err := k.write(f.name, f.text); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// OpenKeyring opens a keyring. If there is no keyring, the error wraps
// [fs.ErrNotExist].
func OpenKeyring(dir string) (*Keyring, error) {
	k := &Keyring{dir}
	if _, err := k.authority(); err != nil {
		return nil, err
	}
	if _, err := k.Holders(); err != nil {
		return nil, err
	}
	return k, nil
}

func (k *Keyring) path(name string) string { return filepath.Join(k.dir, name) }

// lock acquires the lock of the keyring. Other programs and other goroutines
// may hold this lock. The lock is released when unlock is called, or when the
// program ends.
func (k *Keyring) lock() (unlock func(), err error) {
	f, err := os.OpenFile(k.path(lockedFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("server: the keyring: %w", err)
	}
	if err := filelock.Lock(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("server: the keyring: locking %s: %w", f.Name(), err)
	}
	return func() {
		filelock.Unlock(f)
		f.Close()
	}, nil
}

// write replaces a file atomically.
func (k *Keyring) write(name string, text []byte) error {
	f, err := os.CreateTemp(k.dir, name+".*") // only its owner may read it
	if err != nil {
		return fmt.Errorf("server: the keyring: %w", err)
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("server: the keyring: %w", err)
	}
	if err := os.Rename(f.Name(), k.path(name)); err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("server: the keyring: %w", err)
	}
	return nil
}

// Holders returns the holders of keys.
func (k *Keyring) Holders() ([]Holder, error) {
	text, err := os.ReadFile(k.path(holdersFile))
	if err != nil {
		return nil, fmt.Errorf("server: the keyring: %w", err)
	}
	var holders []Holder
	lines := map[string]int{} // line numbers by key
	for i, line := range strings.Split(string(text), "\n") {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Fields(line)
		if len(f) != 3 || !Role(f[0]).valid() || !nkeys.IsValidPublicUserKey(f[1]) {
			return nil, fmt.Errorf("server: %s, line %d: want a role (client, worker, admin), a public key and a name", k.path(holdersFile), i+1)
		}
		if first, twice := lines[f[1]]; twice {
			return nil, fmt.Errorf("server: %s, line %d: the key of line %d: remove one of these lines", k.path(holdersFile), i+1, first)
		}
		lines[f[1]] = i + 1
		holders = append(holders, Holder{Role(f[0]), f[1], f[2]})
	}
	return holders, nil
}

func (r Role) valid() bool { return r == Client || r == Worker || r == Admin }

// nameCharacters are the characters in names of holders and hosts.
const nameCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"

// CheckHolder returns an error if there is no such role, or if a holder cannot
// have this name.
func CheckHolder(role Role, name string) error {
	if !role.valid() {
		return fmt.Errorf("server: unknown role %q: want client, worker or admin", role)
	}
	if name == "" || len(name) > 64 || strings.Trim(name, nameCharacters) != "" {
		return fmt.Errorf("server: the name of a key is %q; want at most 64 letters, digits, \".\", \"-\" and \"_\"", name)
	}
	return nil
}

// Add makes a key and returns the content of the key file for its holder:
//
//   - the secret half of the key
//   - the certificate of the authority, by which the holder verifies the
//     servers
//   - the certificate of the key, by which workers verify a client
//
// The keyring does not store this file. The name of the holder has at most 64
// letters, digits, ".", "-" and "_", and must be different from the names of
// the other holders. Running servers accept the key some seconds later.
func (k *Keyring) Add(role Role, name string) (file []byte, err error) {
	if err := CheckHolder(role, name); err != nil {
		return nil, err
	}
	unlock, err := k.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	holders, err := k.Holders()
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(holders, func(h Holder) bool { return h.Name == name }) {
		return nil, fmt.Errorf("server: there is a key of %s already: revoke it first", name)
	}
	pair, err := nkeys.CreateUser()
	if err != nil {
		return nil, fmt.Errorf("server: making a key: %w", err)
	}
	defer pair.Wipe()
	public, err := pair.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("server: making a key: %w", err)
	}
	seed, err := pair.Seed()
	if err != nil {
		return nil, fmt.Errorf("server: making a key: %w", err)
	}
	defer clear(seed)
	certificates, err := k.certificates(role, public)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(k.path(holdersFile))
	if err != nil {
		return nil, fmt.Errorf("server: the keyring: %w", err)
	}
	if len(text) > 0 && text[len(text)-1] != '\n' {
		text = append(text, '\n')
	}
	if err := k.write(holdersFile, fmt.Appendf(text, "%s %s %s\n", role, public, name)); err != nil {
		return nil, err
	}
	file = fmt.Appendf(nil, "# The key of %s, a %s. A program with this file acts as %s: keep it secret.\n", name, role, name)
	file = append(append(file, seed...), '\n')
	return append(file, certificates...), nil
}

// certificates returns the certificates for a key file: the certificate of the
// authority, and the certificate of the key.
func (k *Keyring) certificates(role Role, public string) ([]byte, error) {
	authority, err := k.authority()
	if err != nil {
		return nil, err
	}
	signer, ok := authority.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("server: %s: this type of key cannot sign certificates", k.path(signingFile))
	}
	certificate, err := wire.Certify(signer, string(role), public)
	if err != nil {
		return nil, fmt.Errorf("server: making the certificate of a key: %w", err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.Certificate[0]})
	return append(text, pem.EncodeToMemory(&pem.Block{Type: wire.CertificateBlock, Bytes: certificate})...), nil
}

// Remove revokes the key of a holder. Running servers close the connections
// with this key some seconds later.
func (k *Keyring) Remove(name string) error {
	unlock, err := k.lock()
	if err != nil {
		return err
	}
	defer unlock()
	holders, err := k.Holders()
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(holders, func(h Holder) bool { return h.Name == name }) {
		return fmt.Errorf("server: there is no key of %q", name)
	}
	text, err := os.ReadFile(k.path(holdersFile))
	if err != nil {
		return fmt.Errorf("server: the keyring: %w", err)
	}
	lines := slices.DeleteFunc(bytes.SplitAfter(text, []byte("\n")), func(line []byte) bool {
		f := strings.Fields(string(line))
		return len(f) == 3 && !strings.HasPrefix(f[0], "#") && f[2] == name
	})
	return k.write(holdersFile, slices.Concat(lines...))
}

// authority returns the certificate of the authority with its key.
func (k *Keyring) authority() (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(k.path(certificateFile), k.path(signingFile))
	if err != nil {
		return nil, fmt.Errorf("server: the keyring: %w", err)
	}
	return &pair, nil
}

func serial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic(err) // package crypto/rand never returns an error
	}
	return n
}

const certificateLife = 90 * 24 * time.Hour

// issue returns a certificate for a server with these names and addresses.
func issue(authority *tls.Certificate, hosts []string, now time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	c := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "concert server"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(certificateLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, authority.Leaf, key.Public(), authority.PrivateKey)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der, authority.Certificate[0]}, PrivateKey: key}, nil
}
