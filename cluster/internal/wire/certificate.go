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

// A certificate of a key states that the holder of the key has a role. It
// consists of the role, a blank, and an ECDSA signature of certifiedText by the
// authority. Workers run only tasks of clients and admins that have a
// certificate by the authority.
//
// A certificate of a key is not an X.509 certificate. Servers identify each
// other by X.509 certificates of the same authority, so the holder of a key
// must not have an X.509 certificate. An X.509 certificate would also need 400
// bytes in each task instead of 80.

// CertificateBlock is the type of the PEM block that has the certificate of a
// key in a key file.
const CertificateBlock = "CONCERT KEY CERTIFICATE"

const maxCertificateBytes = 96 // a role, a blank, and a signature of up to 72 bytes

// Certify returns a certificate, which states that a key has a role. The key is
// the public half of an nkey. The authority must have an ECDSA key.
func Certify(authority crypto.Signer, role, key string) ([]byte, error) {
	digest := sha256.Sum256(certifiedText(role, key))
	signature, err := authority.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	return append([]byte(role+" "), signature...), nil
}

// certifiedText returns the text that the authority signs. The authority signs
// no other text with this prefix: an X.509 certificate begins with the byte
// 0x30.
func certifiedText(role, key string) []byte {
	return fmt.Appendf(nil, "concert: the key %s has the role %s", key, role)
}

// VerifyCertificate returns the role in the certificate of a key. It returns an
// error if the authority has not signed the certificate, or if the certificate
// is for another key.
func VerifyCertificate(authority *ecdsa.PublicKey, certificate []byte, key string) (role string, err error) {
	role, signature, ok := strings.Cut(string(certificate), " ")
	if !ok || len(certificate) > maxCertificateBytes {
		return "", errors.New("no certificate of the key: it must be a role, a blank and a signature")
	}
	digest := sha256.Sum256(certifiedText(role, key))
	if !ecdsa.VerifyASN1(authority, digest[:], []byte(signature)) {
		return "", fmt.Errorf("the certificate of the key %s is not signed by this authority", key)
	}
	return role, nil
}
