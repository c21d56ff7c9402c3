package wire

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"strings"
)

// TaskID names a task. If the submitter has given the task an id, see WithID of
// package cluster, Session is empty, and Number is a hash of the id.
type TaskID struct {
	Client  string
	Session string
	Number  string
}

func (id *TaskID) fields(m *message) {
	m.text(1, &id.Client)
	m.text(2, &id.Session)
	m.text(3, &id.Number)
}

// Key returns the id as one string.
func (id TaskID) Key() string {
	if id.Session == "" {
		return id.Client + ".kept." + id.Number
	}
	return id.Client + "." + id.Session + "." + id.Number
}

// TryKey names one submission of a task: a task with an id may be submitted,
// canceled, and submitted again. A cancellation names its task by this key.
func TryKey(client, session, try string) string { return client + "." + session + "." + try }

// Cancellation returns the subject and the content of the message by which a
// client cancels a submission.
func Cancellation(client, session, try string) (subject string, body []byte) {
	return CancelPrefix + "." + client, []byte(session + "." + try)
}

// CanceledKey returns the TryKey in a cancellation of a client. ok is false if
// body is not a cancellation.
func CanceledKey(client string, body []byte) (key string, ok bool) {
	session, try, ok := strings.Cut(string(body[:min(len(body), MaxCancelBytes+1)]), ".")
	if !ok || !ValidToken(client) || !ValidToken(session) || !ValidToken(try) {
		return "", false
	}
	return TryKey(client, session, try), true
}

var lower32 = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// NewToken returns a random token of 130 bits.
func NewToken() string {
	var b [17]byte
	rand.Read(b[:])
	return lower32.EncodeToString(b[:])[:26]
}

// Digest returns a hash of 130 bits that is valid as a token of a subject.
func Digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return lower32.EncodeToString(sum[:])[:26]
}

// ValidToken reports whether s is valid as a token of a subject, and as a part
// of a key.
func ValidToken(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

// NewWorkerID returns a new id of a worker of an owner, which is its key in
// WorkerBucket.
func NewWorkerID(owner string) string { return owner + "." + NewToken() }

// OwnsWorker reports whether id is the id of a worker of an owner.
func OwnsWorker(owner, id string) bool { return strings.HasPrefix(id, owner+".") }
