package wire

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/nats-io/nkeys"
	"golang.org/x/mod/sumdb/tlog"
)

// Signing takes 30 microseconds, and verifying a signature takes 65. This is
// more than the rest of the work for a quick task. So a client signs all tasks
// that it sends together by one signature. The digests of the messages are the
// leaves of a Merkle tree (RFC 6962, as in Certificate Transparency and Go's
// checksum database), and the client signs the root of the tree. Each message
// contains a proof that the message is in the tree, so a worker can verify it
// without the other messages. A worker that receives several of the messages
// verifies the signature once.
//
//	message 1 --+
//	            +--+
//	message 2 --+  |      trailer of message 3:  the proof: the hash of message 4,
//	               +-- root                      and the hash of messages 1 and 2;
//	message 3 --+  |                             the root, its signature,
//	            |  |                             the number of messages, the index 2
//	            +--+
//	message 4 --+

// maxBatch is the maximum number of messages that are signed together. With
// twice as many messages, a proof has 32 more bytes.
const maxBatch = 64

// signatureBytes is the size of the trailer without the proof.
const signatureBytes = tlog.HashSize + ed25519.SignatureSize + 2

// Signer signs the tasks of a client.
type Signer struct {
	key         ed25519.PrivateKey
	certificate []byte // of the key: see Certify
}

// NewSigner returns a Signer for a key with its certificate. The Signer keeps
// the private key, because package nkeys would derive the private key again for
// each signature.
func NewSigner(pair nkeys.KeyPair, certificate []byte) (*Signer, error) {
	seed, err := pair.Seed()
	if err != nil {
		return nil, err
	}
	_, raw, err := nkeys.DecodeSeed(seed) // the slice belongs to pair, so NewSigner does not clear it
	if err != nil {
		return nil, err
	}
	defer clear(raw)
	return &Signer{ed25519.NewKeyFromSeed(raw), certificate}, nil
}

// sign appends a trailer to each message. subjects[i] is the subject of
// msgs[i].
func (s *Signer) sign(msgs [][]byte, subjects []string) error {
	for len(msgs) > 0 {
		n := min(len(msgs), maxBatch)
		if err := s.signBatch(msgs[:n], subjects[:n]); err != nil {
			return err
		}
		msgs, subjects = msgs[n:], subjects[n:]
	}
	return nil
}

func (s *Signer) signBatch(msgs [][]byte, subjects []string) error {
	var stored []tlog.Hash
	read := tlog.HashReaderFunc(func(at []int64) ([]tlog.Hash, error) {
		found := make([]tlog.Hash, len(at))
		for i, n := range at {
			found[i] = stored[n]
		}
		return found, nil
	})
	for i, msg := range msgs {
		more, err := tlog.StoredHashesForRecordHash(int64(i), leaf(msg, subjects[i]), read)
		if err != nil {
			return err
		}
		stored = append(stored, more...)
	}
	size := int64(len(msgs))
	root, err := tlog.TreeHash(size, read)
	if err != nil {
		return err
	}
	signature := ed25519.Sign(s.key, signedText(size, root))
	for i := range msgs {
		proof, err := tlog.ProveRecord(size, int64(i), read)
		if err != nil {
			return err
		}
		for _, h := range proof {
			msgs[i] = append(msgs[i], h[:]...)
		}
		msgs[i] = append(append(append(msgs[i], root[:]...), signature...), byte(size), byte(i))
	}
	return nil
}

// leaf returns the digest of a message and its subject.
func leaf(msg []byte, subject string) tlog.Hash {
	text := make([]byte, 0, 8+len(msg)+len(subject))
	text = binary.BigEndian.AppendUint64(text, uint64(len(msg)))
	return tlog.RecordHash(append(append(text, msg...), subject...))
}

// signedText returns the text that a client signs. Clients sign no other text
// with this prefix.
func signedText(size int64, root tlog.Hash) []byte {
	return fmt.Appendf(nil, "concert: %d tasks, %x", size, root[:])
}

// splitTrailer splits a signed message into its content and its trailer.
func splitTrailer(sealed []byte) (msg, trailer []byte, err error) {
	if len(sealed) < signatureBytes {
		return nil, nil, errors.New("the message is too short to be signed")
	}
	size, index := int(sealed[len(sealed)-2]), int(sealed[len(sealed)-1])
	if size < 1 || size > maxBatch || index >= size {
		return nil, nil, errors.New("the signature has an invalid index")
	}
	long := signatureBytes + tlog.HashSize*proofLength(index, size)
	if len(sealed) < 2+long { // the version and the flags come first
		return nil, nil, errors.New("the message is too short to be signed")
	}
	return sealed[:len(sealed)-long], sealed[len(sealed)-long:], nil
}

// proofLength returns the number of hashes in a proof: see RFC 6962, section
// 2.1.1.
func proofLength(index, size int) (n int) {
	for ; size > 1; n++ {
		half := 1
		for 2*half < size {
			half *= 2
		}
		if index < half {
			size = half
		} else {
			index, size = index-half, size-half
		}
	}
	return n
}

// Verifier verifies signatures and the certificates of keys. It keeps the
// digests of valid signatures and certificates, so that it verifies each of
// them once. Its zero value is ready to use. Its methods are safe for
// concurrent use.
type Verifier struct {
	// Authority is the key that signs the certificates of clients. If it is
	// nil, any key may sign tasks.
	Authority *ecdsa.PublicKey

	mu            sync.Mutex
	verified, old map[[sha256.Size]byte]bool // guarded by mu: digests of valid signatures and certificates; when verified is full, it becomes old
}

const maxVerified = 4096 // maximum size of verified and of old

// check returns an error unless the client has signed the message and its
// subject.
func (v *Verifier) check(client string, msg, trailer []byte, subject string) error {
	size, index := int64(trailer[len(trailer)-2]), int64(trailer[len(trailer)-1])
	end := trailer[len(trailer)-signatureBytes:]
	root := tlog.Hash(end[:tlog.HashSize])
	signature := end[tlog.HashSize : tlog.HashSize+ed25519.SignatureSize]
	var proof tlog.RecordProof
	for rest := trailer[:len(trailer)-signatureBytes]; len(rest) > 0; rest = rest[tlog.HashSize:] {
		proof = append(proof, tlog.Hash(rest[:tlog.HashSize]))
	}
	if err := tlog.CheckRecord(proof, size, root, index, leaf(msg, subject)); err != nil {
		return err
	}
	text := signedText(size, root)
	what := sha256.Sum256(bytes.Join([][]byte{[]byte(client), text, signature}, []byte{0}))
	if v.known(what) {
		return nil
	}
	key, err := nkeys.FromPublicKey(client)
	if err != nil {
		return err
	}
	if err := key.Verify(text, signature); err != nil {
		return err
	}
	v.remember(what)
	return nil
}

// checkCertificate returns an error unless a key has a certificate that allows
// the key to submit tasks.
func (v *Verifier) checkCertificate(key string, certificate []byte) error {
	what := sha256.Sum256(slices.Concat([]byte("certificate\x00"+key+"\x00"), certificate))
	if v.known(what) {
		return nil
	}
	role, err := VerifyCertificate(v.Authority, certificate, key)
	if err != nil {
		return err
	}
	if role != ClientRole && role != AdminRole {
		return fmt.Errorf("the key %s has the role %s, which may not submit tasks", key, role)
	}
	v.remember(what)
	return nil
}

func (v *Verifier) known(what [sha256.Size]byte) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.verified[what] || v.old[what]
}

func (v *Verifier) remember(what [sha256.Size]byte) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.verified == nil || len(v.verified) >= maxVerified {
		v.verified, v.old = map[[sha256.Size]byte]bool{}, v.verified
	}
	v.verified[what] = true
}
