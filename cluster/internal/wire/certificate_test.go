package wire

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nkeys"
)

func newAuthority(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newKey(t testing.TB) (pair nkeys.KeyPair, public string) {
	t.Helper()
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	if public, err = pair.PublicKey(); err != nil {
		t.Fatal(err)
	}
	return pair, public
}

func certify(t testing.TB, authority *ecdsa.PrivateKey, role, key string) []byte {
	t.Helper()
	c, err := Certify(authority, role, key)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestVerifier_Certificate: a Verifier must accept the tasks of clients and
// admins whose keys its authority has certified, and no other tasks. Tasks that
// the Verifier has verified earlier must not change the result.
func TestVerifier_Certificate(t *testing.T) {
	authority, other := newAuthority(t), newAuthority(t)
	pair, public := newKey(t)
	_, stranger := newKey(t)
	client := certify(t, authority, ClientRole, public)
	renamed := slices.Concat([]byte(AdminRole), client[len(ClientRole):])
	v := &Verifier{Authority: &authority.PublicKey}
	subject := TaskSubject("contract", public)
	for _, c := range []struct {
		name        string
		certificate []byte
		want        string // a part of the error; "" for no error
	}{
		{"client", client, ""},
		{"admin", certify(t, authority, AdminRole, public), ""},
		{"none", nil, "no certificate"},
		{"worker", certify(t, authority, WorkerRole, public), "has the role worker"},
		{"made up role", certify(t, authority, "king", public), "has the role king"},
		{"another key's", certify(t, authority, ClientRole, stranger), "not signed by this authority"},
		{"another authority's", certify(t, other, ClientRole, public), "not signed by this authority"},
		{"another role", renamed, "not signed by this authority"},
		{"changed", append(slices.Clone(client[:len(client)-1]), client[len(client)-1]^1), "not signed by this authority"},
		{"cut", client[:len(client)-1], "not signed by this authority"},
		{"longer", append(slices.Clone(client), 0), "not signed by this authority"},
		{"long", append(slices.Clone(client), make([]byte, maxCertificateBytes)...), "no certificate"},
		{"no signature", []byte("client "), "not signed by this authority"},
		{"no role", []byte("client"), "no certificate"},
		{"client again", client, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			signer, err := NewSigner(pair, c.certificate)
			if err != nil {
				t.Fatal(err)
			}
			e := Envelope{ID: TaskID{Client: public, Session: "s", Number: "1"}, Function: "f", Session: "s", Try: "1"}
			msgs, err := EncodeTasks([]OutgoingTask{{e, subject}}, signer)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				got, err := v.Open(msgs[0], subject, true)
				switch {
				case c.want == "" && (err != nil || !slices.Equal(got.Certificate, c.certificate)):
					t.Errorf("%+v, %v", got, err)
				case c.want != "" && (!errors.Is(err, ErrEnvelope) || !strings.Contains(err.Error(), c.want)):
					t.Errorf("error %v, want %q", err, c.want)
				}
			}
		})
	}
}

// TestVerifier_CertificateOnce: for several tasks of a client, the certificate
// must be verified only once.
func TestVerifier_CertificateOnce(t *testing.T) {
	authority := newAuthority(t)
	pair, public := newKey(t)
	signer, err := NewSigner(pair, certify(t, authority, ClientRole, public))
	if err != nil {
		t.Fatal(err)
	}
	v := &Verifier{Authority: &authority.PublicKey}
	subject := TaskSubject("contract", public)
	open := func() error {
		t.Helper()
		e := Envelope{ID: TaskID{Client: public, Session: "s", Number: "1"}, Session: "s", Try: "1"}
		msgs, err := EncodeTasks([]OutgoingTask{{e, subject}}, signer)
		if err != nil {
			t.Fatal(err)
		}
		_, err = v.Open(msgs[0], subject, true)
		return err
	}
	if err := open(); err != nil {
		t.Fatal(err)
	}
	v.Authority = &newAuthority(t).PublicKey // this authority has not signed the certificate
	if err := open(); err != nil {
		t.Errorf("the certificate was verified again: %v", err)
	}
	v.verified, v.old = nil, nil
	if err := open(); err == nil {
		t.Error("a certificate of another authority was accepted")
	}
}
