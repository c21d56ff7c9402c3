package wire

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
)

// Streams and buckets, with their subjects. SET is the name of a capability
// set. OWNER is the public key of the worker, or Anyone if the servers do not
// require keys. A worker with a key can publish only to subjects with its own
// key as the OWNER.
//
//	CONCERT_TASKS      concert.task.SET.CLIENT                   tasks: clients --> workers
//	CONCERT_RESULTS    concert.result.CLIENT.SESSION.NUMBER      results: workers --> a session
//	CONCERT_KEPT       concert.kept.CLIENT.KEY                   results of tasks with an id
//	CONCERT_DEAD       concert.dead.SET.CLIENT.OWNER             dead letters, for operators
//	CONCERT_YIELDS     concert.yield.SET.SEQUENCE.TIME           how many deliveries do not count
//	CONCERT_CONTRACTS  one key for each capability set           its functions
//	CONCERT_WORKERS    one key for each worker, OWNER.RANDOM     its last heartbeat
//	CONCERT_CANCEL     concert.cancel.CLIENT                     cancellations: clients --> workers
//	CONCERT_LOAD       concert.load.CLIENT.RANDOM.PART           parts of large arguments
//	                   concert.output.CLIENT.OWNER.RANDOM.PART   parts of large results
//
// The other subjects have no stream. If the servers require keys, a server
// receives the messages of a relay, and publishes or stores them:
//
//	concert.canceled.CLIENT              what CONCERT_CANCEL has stored
//	concert.hint.CLIENT.SESSION.OWNER    workers --> clients: a task has started, or its progress
//	concert.report.CLIENT.SESSION.OWNER  relay of a worker's hints, to concert.hint
//	concert.door.KEY                     Handshake requests to a server
//	concert.advert.KEY.RANDOM            relay of a worker's heartbeats, to CONCERT_WORKERS
//	concert.withdraw.KEY                 relay of a client's cancellations, to CONCERT_CANCEL
//	concert.resend.KEY                   requests of a worker to a server, see ResendRequest
//	concert.pull.KEY                     requests of a worker to a server, see Pull
//	concert.deliver.KEY.RANDOM           messages that answer a Pull
const (
	TaskStream       = "CONCERT_TASKS"
	ResultStream     = "CONCERT_RESULTS"
	KeptStream       = "CONCERT_KEPT"
	DeadStream       = "CONCERT_DEAD"
	CapabilityBucket = "CONCERT_CONTRACTS"
	WorkerBucket     = "CONCERT_WORKERS"
	CancelStream     = "CONCERT_CANCEL"
	BlobStream       = "CONCERT_LOAD"
	ReleaseStream    = "CONCERT_YIELDS"
)

// Anyone is the name of the client, and of the owner of workers, if the servers
// do not require keys.
const Anyone = "anyone"

// CancelPrefix is the prefix of the subjects of cancellations. The rest of a
// subject is the client. CanceledPrefix is the prefix of the subjects at which
// CancelStream publishes each cancellation that it has stored.
const (
	CancelPrefix   = "concert.cancel"
	CanceledPrefix = "concert.canceled"
)

// BucketPrefix returns the prefix of the subjects of a bucket. The rest of a
// subject is a key.
func BucketPrefix(bucket string) string { return "$KV." + bucket }

// BucketStream returns the stream that stores a bucket.
func BucketStream(bucket string) string { return "KV_" + bucket }

// HandshakeSubject returns the subject of Handshake requests by the holder of a
// key.
func HandshakeSubject(key string) string { return "concert.door." + key }

// TaskSubject returns the subject of a client's tasks for a capability set.
func TaskSubject(set, client string) string { return taskPrefix + set + "." + client }

const taskPrefix = "concert.task."

// ResultSubject returns the subject of the result of a task: in ResultStream,
// for the session that waits for it, or in KeptStream if the task has an id.
func ResultSubject(id TaskID) string {
	if id.Session == "" {
		return "concert.kept." + id.Client + "." + id.Number
	}
	return "concert.result." + id.Client + "." + id.Session + "." + id.Number
}

// ResultID returns the ID of the task in a subject of ResultSubject. It
// reports false for any other subject.
func ResultID(subject string) (id TaskID, ok bool) {
	switch parts := strings.Split(subject, "."); {
	case len(parts) == 5 && strings.HasPrefix(subject, "concert.result."):
		return TaskID{Client: parts[2], Session: parts[3], Number: parts[4]}, true
	case len(parts) == 4 && strings.HasPrefix(subject, "concert.kept."):
		return TaskID{Client: parts[2], Number: parts[3]}, true
	}
	return id, false
}

// ArgumentName returns a new name of a large argument of a client.
func ArgumentName(client string) string { return client + "." + NewToken() }

// ResultName returns a new name of a large result for a client. The
// parameter owner is the public key of the worker that stores the result, or
// Anyone.
func ResultName(client, owner string) string { return client + "." + owner + "." + NewToken() }

// BlobSubject returns the subject of a part of a large argument or result.
func BlobSubject(name string, part int) string {
	prefix := "concert.load."
	if strings.Count(name, ".") == 2 {
		prefix = "concert.output."
	}
	return prefix + name + "." + strconv.Itoa(part)
}

// IsArgumentName reports whether name is the name of a large argument of a
// client.
func IsArgumentName(client, name string) bool { return isBlobName(client, name, 2) }

// IsResultName reports whether name is the name of a large result for a client.
func IsResultName(client, name string) bool { return isBlobName(client, name, 3) }

func isBlobName(client, name string, tokens int) bool {
	parts := strings.Split(name, ".")
	invalid := func(p string) bool { return !ValidToken(p) }
	return len(parts) == tokens && parts[0] == client && !slices.ContainsFunc(parts, invalid)
}

// HintSubject returns the subject at which a session receives hints of
// workers. The parameter owner is the public key of these workers, or
// Anyone.
func HintSubject(client, session, owner string) string {
	return "concert.hint." + client + "." + session + "." + owner
}

// HintRelaySubject returns the subject to which workers with a key publish
// their hints. The parameter owner is the public key of these workers. A
// server publishes the hints again to HintSubject, because NATS does not
// deliver a message from the account of one key to the account of another
// key.
func HintRelaySubject(client, session, owner string) string {
	return hintRelayPrefix + client + "." + session + "." + owner
}

// RelayedHint returns the HintSubject for a HintRelaySubject.
func RelayedHint(relayed string) string {
	return "concert.hint." + strings.TrimPrefix(relayed, hintRelayPrefix)
}

const hintRelayPrefix = "concert.report."

// DeadSubject returns the subject to which workers publish dead letters. The
// parameter owner is the public key of these workers, or Anyone. The
// parameter task is the subject of the tasks that become dead letters, as
// TaskSubject returns it.
func DeadSubject(task, owner string) string {
	return "concert.dead." + strings.TrimPrefix(task, taskPrefix) + "." + owner
}

// DeadTask returns the capability set and the client of a dead letter. It
// reports false if the subject is not a DeadSubject.
func DeadTask(subject string) (set, client string, ok bool) {
	parts := strings.Split(subject, ".")
	if len(parts) != 5 || parts[0] != "concert" || parts[1] != "dead" {
		return "", "", false
	}
	return parts[2], parts[3], true
}

// HeartbeatSubject returns the subject at which a worker with a key publishes
// its heartbeats. The servers store the heartbeats in WorkerBucket. An empty
// message removes the worker.
func HeartbeatSubject(id string) string { return "concert.advert." + id }

// CancelRequestSubject returns the subject at which the servers receive the
// cancellations of the holder of a key. The servers store the cancellations in
// CancelStream. The holder publishes them at the subject of the stream, and the
// account of the key maps that subject to CancelRequestSubject.
func CancelRequestSubject(key string) string { return "concert.withdraw." + key }

// DeleteHeader returns the header of a message that removes a key of a bucket.
func DeleteHeader() nats.Header { return nats.Header{"KV-Operation": {"DEL"}} }

// ResendSubject returns the subject of a ResendRequest by the holder of a key.
func ResendSubject(key string) string { return "concert.resend." + key }

// PullSubject returns the subject of Pull requests by the holder of a key.
func PullSubject(key string) string { return "concert.pull." + key }

// DeliverSubject returns the subject at which the holder of a key receives the
// messages of a Pull.
func DeliverSubject(key, inbox string) string { return "concert.deliver." + key + "." + inbox }

// ReleaseSubject returns the subject of a message that contains the number
// of deliveries of a task that do not count as attempts. Two parameters
// identify the message of the task: sequence is its sequence number, and
// time is its Unix time in nanoseconds.
func ReleaseSubject(set string, sequence uint64, time int64) string {
	return fmt.Sprintf("concert.yield.%s.%d.%d", set, sequence, time)
}

// TaskID identifies a task. If the submitter has given the task an id, see
// WithID of package cluster, Session is empty, and Number is a hash of the
// id.
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

// TryKey returns a key for one submission of a task: a task with an id may be
// submitted, canceled, and submitted again. A cancellation cancels the
// submission with this key.
func TryKey(client, session, try string) string { return client + "." + session + "." + try }

// Cancellation returns the subject and the content of the message by which a
// client cancels a submission.
func Cancellation(client, session, try string) (subject string, body []byte) {
	return CancelPrefix + "." + client, []byte(session + "." + try)
}

// CanceledKey returns the TryKey in a cancellation of a client. It reports
// false if body is not a cancellation.
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

// NewWorkerID returns a new id for a worker of an owner. The id is also the key
// of the worker in WorkerBucket.
func NewWorkerID(owner string) string { return owner + "." + NewToken() }

// OwnsWorker reports whether id is the id of a worker of an owner.
func OwnsWorker(owner, id string) bool { return strings.HasPrefix(id, owner+".") }

// The headers of a dead letter.
const (
	ReasonHeader = "Concert-Reason" // why the task was abandoned
	WorkerHeader = "Concert-Worker" // the id of the worker that abandoned it
)
