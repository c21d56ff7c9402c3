package wire

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
)

// A certificate of a key is the authority's word that the holder of the key has
// a role. It is the role, a blank, and an ECDSA signature of certifiedText.
// Workers run the tasks of clients and admins that the authority knows, and no
// others.
//
// It is no X.509 certificate, since servers know each other by certificates of
// the same authority: nothing that the holder of a key has may be one of these.
// X.509 would also take 400 bytes of each task instead of 80.

// CertificateBlock is the type of the PEM block that has the certificate of a
// key in a key file.
const CertificateBlock = "CONCERT KEY CERTIFICATE"

const maxCertificateBytes = 96 // bytes: a role, a blank, and 72 of the signature at most

// Certify returns the certificate of a key, which is the public half of an
// nkey, with a role. The authority must have an ECDSA key.
func Certify(authority crypto.Signer, role, key string) ([]byte, error) {
	digest := sha256.Sum256(certifiedText(role, key))
	signature, err := authority.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	return append([]byte(role+" "), signature...), nil
}

// certifiedText is what the authority signs. Nothing else that it signs begins
// like it: an X.509 certificate begins with the byte 0x30.
func certifiedText(role, key string) []byte {
	return fmt.Appendf(nil, "concert: the key %s has the role %s", key, role)
}

// VerifyCertificate returns the role of a key by its certificate. It returns an error
// if the certificate is not by the authority, or for another key.
func VerifyCertificate(authority *ecdsa.PublicKey, certificate []byte, key string) (role string, err error) {
	role, signature, ok := strings.Cut(string(certificate), " ")
	if !ok || len(certificate) > maxCertificateBytes {
		return "", errors.New("it has no certificate of its key")
	}
	digest := sha256.Sum256(certifiedText(role, key))
	if !ecdsa.VerifyASN1(authority, digest[:], []byte(signature)) {
		return "", fmt.Errorf("the certificate of the key %s is not by this authority", key)
	}
	return role, nil
}
