//go:build linux

package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	mrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// site is an nginx with files.
type site struct {
	dir         string
	files       string // the directory of the files
	certificate string // the path of the certificate, in PEM
	plain, tls  string // the addresses
	nginx       *exec.Cmd
}

// configuration is the configuration of nginx. The module echo is a part of
// nginx-light.
const configuration = `
load_module /usr/lib/nginx/modules/ngx_http_echo_module.so;
daemon off;
pid %[1]s/nginx.pid;
error_log %[1]s/error.log crit;
worker_processes 1;
%[5]s
events { worker_connections 1024; }
http {
	access_log off;
	sendfile on;
	tcp_nopush on;
	default_type application/octet-stream;
	client_body_temp_path %[1]s/t1;
	proxy_temp_path %[1]s/t2;
	fastcgi_temp_path %[1]s/t3;
	uwsgi_temp_path %[1]s/t4;
	scgi_temp_path %[1]s/t5;
	server {
		listen %[2]s;
		listen %[3]s ssl;
		ssl_certificate %[1]s/cert.pem;
		ssl_certificate_key %[1]s/key.pem;
		location /plain/ { alias %[4]s/; }
		location /limit/ { alias %[4]s/; limit_rate 64m; }
		location ~ ^/delay/(.*)$ { echo_sleep 0.05; echo_exec /plain/$1; }
	}
}
`

// startSite starts nginx with the directory dir/site.
func startSite(dir string) (_ *site, err error) {
	s := &site{dir: filepath.Join(dir, "site")}
	s.files, s.certificate = filepath.Join(s.dir, "files"), filepath.Join(s.dir, "cert.pem")
	if err := os.MkdirAll(s.files, 0o755); err != nil {
		return nil, err
	}
	if err := s.writeCertificate(); err != nil {
		return nil, err
	}
	if s.plain, err = freeAddress(); err != nil {
		return nil, err
	}
	if s.tls, err = freeAddress(); err != nil {
		return nil, err
	}
	user := ""
	if os.Getuid() == 0 {
		user = "user root;" // the files are in a directory of this user
	}
	conf := filepath.Join(s.dir, "nginx.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, configuration, s.dir, s.plain, s.tls, s.files, user), 0o644); err != nil {
		return nil, err
	}
	var output bytes.Buffer
	s.nginx = exec.Command("nginx", "-p", s.dir, "-e", filepath.Join(s.dir, "error.log"), "-c", conf)
	s.nginx.Stdout, s.nginx.Stderr = &output, &output
	// nginx must not survive this process.
	s.nginx.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := s.nginx.Start(); err != nil {
		return nil, fmt.Errorf("start nginx (install nginx-light): %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.nginx.Wait() }()
	for range 500 {
		select {
		case err := <-ended:
			return nil, fmt.Errorf("nginx ended: %w\n%s", err, output.String())
		default:
		}
		if c, err := net.Dial("tcp", s.tls); err == nil {
			c.Close()
			return s, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.close()
	return nil, fmt.Errorf("nginx does not listen on %s", s.tls)
}

// close ends nginx.
func (s *site) close() { s.nginx.Process.Signal(syscall.SIGTERM) }

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// urls returns the URLs of the files of a row.
func (s *site) urls(r row) (urls []string) {
	base := "http://" + s.plain
	if r.tls {
		base = "https://" + s.tls
	}
	for i := range r.count {
		urls = append(urls, base+r.path+"/"+r.name(i))
	}
	return urls
}

// create creates the files of a row. Large files of a row are links to one
// file, which saves space.
func (s *site) create(r row) error {
	for i := range r.count {
		path := filepath.Join(s.files, r.name(i))
		if i > 0 && r.size > mib {
			if err := os.Link(filepath.Join(s.files, r.name(0)), path); err != nil {
				return err
			}
			continue
		}
		f, err := os.Create(path)
		if err != nil {
			return err
		}
		_, err = io.CopyN(f, mrand.NewChaCha8([32]byte{byte(i), byte(i >> 8), byte(r.size >> 10)}), r.size)
		if e := f.Close(); err == nil {
			err = e
		}
		if err != nil {
			return err
		}
		// The date is old, so that it is a strong validator of the file.
		old := time.Now().Add(-time.Hour)
		if err := os.Chtimes(path, old, old); err != nil {
			return err
		}
	}
	return nil
}

// remove removes the files of a row.
func (s *site) remove(r row) {
	for i := range r.count {
		os.Remove(filepath.Join(s.files, r.name(i)))
	}
}

// check compares the files in a directory with the files of the server.
func (s *site) check(r row, dir string) error {
	for i := range r.count {
		if err := same(filepath.Join(s.files, r.name(i)), filepath.Join(dir, r.name(i))); err != nil {
			return err
		}
	}
	return nil
}

// left and right are the buffers of same. They are small, because the memory
// of this process counts in the peak memory of the processes that it starts.
var left, right = make([]byte, 64*kib), make([]byte, 64*kib)

// same returns an error if two files differ.
func same(a, b string) error {
	f, err := os.Open(a)
	if err != nil {
		return err
	}
	defer f.Close()
	g, err := os.Open(b)
	if err != nil {
		return err
	}
	defer g.Close()
	for {
		n, errF := io.ReadFull(f, left)
		m, errG := io.ReadFull(g, right)
		if !bytes.Equal(left[:n], right[:m]) {
			return fmt.Errorf("%s differs from %s", b, a)
		}
		if errF != nil || errG != nil {
			return nil // the end; if the lengths differ, the last bytes have differed above
		}
	}
}

// writeCertificate writes a key and a certificate for 127.0.0.1.
func (s *site) writeCertificate() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "127.0.0.1"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(s.dir, "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600); err != nil {
		return err
	}
	return os.WriteFile(s.certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
}
