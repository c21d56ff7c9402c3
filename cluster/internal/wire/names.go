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
	"google.golang.org/protobuf/encoding/protowire"
)

// The streams and buckets, and who writes and reads each. OWNER is the public
// key of the worker, or Anyone where servers do not ask for keys: a worker with
// a key can publish to the subjects with its own key only.
//
//	CONCERT_TASKS      concert.task.CONTRACT.CLIENT               clients --> workers, one consumer for each contract
//	CONCERT_RESULTS    concert.result.CLIENT.SESSION.NUMBER       workers --> one session of a client, until it has taken it
//	CONCERT_KEPT       concert.kept.CLIENT.KEY                    results of tasks with an id, for days
//	CONCERT_DEAD       concert.dead.CONTRACT.CLIENT.OWNER         workers --> whoever looks after the cluster
//	CONCERT_YIELDS     concert.yield.CONTRACT.SEQUENCE.TIME       workers --> workers: how often they gave a task back of their own accord
//	CONCERT_CONTRACTS  one key for each contract: its functions
//	CONCERT_WORKERS    one key for each worker, OWNER.RANDOM: its places, and the numbers of its tasks
//	CONCERT_CANCEL     concert.cancel.CLIENT                      clients --> workers: tasks that are not wanted any more
//	CONCERT_LOAD       concert.load.CLIENT.RANDOM.PART            arguments too large for a message, in parts
//	                   concert.output.CLIENT.OWNER.RANDOM.PART    results too large for a message, in parts
//	concert.canceled.CLIENT                                      no stream: what CONCERT_CANCEL has stored
//	concert.hint.CLIENT.SESSION.OWNER                             no stream: that a task has begun, how far it is
//	concert.report.CLIENT.SESSION.OWNER                           no stream: hints of a worker with a key, which a server publishes as such
//	concert.door.KEY                                              no stream: requests to a server by the holder of a key, see Knock
//	concert.advert.KEY.RANDOM                                     no stream: what a server is to store in CONCERT_WORKERS
//	concert.withdraw.KEY                                          no stream: cancellations by a client with a key, which a server stores
//	concert.resend.KEY                                            no stream: requests to a server by a worker, see Resend
//	concert.pull.KEY                                              no stream: Pull, of a worker to a server
//	concert.deliver.KEY.RANDOM                                    no stream: messages for a Pull
const (
	TaskStream     = "CONCERT_TASKS"
	ResultStream   = "CONCERT_RESULTS"
	KeptStream     = "CONCERT_KEPT"
	DeadStream     = "CONCERT_DEAD"
	ContractBucket = "CONCERT_CONTRACTS"
	WorkerBucket   = "CONCERT_WORKERS"
	CancelStream   = "CONCERT_CANCEL"
	LoadStream     = "CONCERT_LOAD"
	YieldStream    = "CONCERT_YIELDS"
)

// Anyone is the client, and the owner of workers, where servers do not ask for
// keys.
const Anyone = "anyone"

// CancelPrefix is what the subjects of cancellations begin with; the rest is
// the client. CanceledPrefix is what the subjects begin with at which the
// stream of cancellations publishes what it has stored.
const (
	CancelPrefix   = "concert.cancel"
	CanceledPrefix = "concert.canceled"
)

// BucketPrefix is what the subjects of a bucket begin with; the rest is a key.
func BucketPrefix(bucket string) string { return "$KV." + bucket }

// BucketStream is the stream that a bucket is.
func BucketStream(bucket string) string { return "KV_" + bucket }

// DoorSubject is where the holder of a key knocks.
func DoorSubject(key string) string { return "concert.door." + key }

// TaskSubject is where a client's tasks for a contract go.
func TaskSubject(contract, client string) string { return taskPrefix + contract + "." + client }

const taskPrefix = "concert.task."

// ResultSubject is where the result of a task goes: to the session that waits
// for it or, if the task has an id of its own, to be kept.
func ResultSubject(id TaskID) string {
	if id.Session == "" {
		return "concert.kept." + id.Client + "." + id.Number
	}
	return "concert.result." + id.Client + "." + id.Session + "." + id.Number
}

// ResultID returns the task that a subject of ResultSubject names. ok is false
// for any other subject.
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
func ArgumentName(client string) string { return client + "." + Random() }

// ResultName returns a new name of a large result for a client, which a worker
// of an owner stores.
func ResultName(client, owner string) string { return client + "." + owner + "." + Random() }

// LoadSubject returns the subject of a part of a large argument or result.
func LoadSubject(name string, part int) string {
	prefix := "concert.load."
	if strings.Count(name, ".") == 2 {
		prefix = "concert.output."
	}
	return prefix + name + "." + strconv.Itoa(part)
}

// IsArgument reports whether name is the name of a large argument of a client.
func IsArgument(client, name string) bool { return isLoad(client, name, 2) }

// IsResult reports whether name is the name of a large result for a client.
func IsResult(client, name string) bool { return isLoad(client, name, 3) }

func isLoad(client, name string, tokens int) bool {
	parts := strings.Split(name, ".")
	invalid := func(p string) bool { return !ValidToken(p) }
	return len(parts) == tokens && parts[0] == client && !slices.ContainsFunc(parts, invalid)
}

// HintSubject returns the subject of hints by workers of an owner about the
// tasks of a session.
func HintSubject(client, session, owner string) string {
	return "concert.hint." + client + "." + session + "." + owner
}

// ReportSubject returns the subject at which the servers take the hints of
// workers of an owner from the holder of the owner's key. They publish them at
// HintSubject: what comes from the account of one key by a service goes to the
// account of another one only by way of a server.
func ReportSubject(client, session, owner string) string {
	return reportPrefix + client + "." + session + "." + owner
}

// ReportedHint returns the subject of the hint for a subject of ReportSubject.
func ReportedHint(report string) string {
	return "concert.hint." + strings.TrimPrefix(report, reportPrefix)
}

const reportPrefix = "concert.report."

// DeadSubject returns the subject of dead letters by workers of an owner, for
// tasks with a subject of TaskSubject.
func DeadSubject(task, owner string) string {
	return "concert.dead." + strings.TrimPrefix(task, taskPrefix) + "." + owner
}

// DeadTask returns the contract and the client of the task of a dead letter. It
// reports false for a subject that is not one of DeadSubject.
func DeadTask(subject string) (contract, client string, ok bool) {
	parts := strings.Split(subject, ".")
	if len(parts) != 5 || parts[0] != "concert" || parts[1] != "dead" {
		return "", "", false
	}
	return parts[2], parts[3], true
}

// WorkerID returns a new id of a worker of an owner, which is its key in
// WorkerBucket.
func WorkerID(owner string) string { return owner + "." + Random() }

// OwnsWorker reports whether id is the id of a worker of an owner.
func OwnsWorker(owner, id string) bool { return strings.HasPrefix(id, owner+".") }

// AdvertSubject returns the subject at which the servers take the adverts of
// the worker with an id from the holder of its owner's key, and store them in
// WorkerBucket. An empty message removes the worker.
func AdvertSubject(id string) string { return "concert.advert." + id }

// WithdrawSubject returns the subject at which the servers receive the
// cancellations of the holder of a key. They store these in CancelStream. The
// holder publishes at the subject of the stream, which its account maps to this
// subject.
func WithdrawSubject(key string) string { return "concert.withdraw." + key }

// Gone returns the header of a message that removes a key of a bucket.
func Gone() nats.Header { return nats.Header{"KV-Operation": {"DEL"}} }

// ResendSubject returns the subject of Resend requests by the holder of a key.
func ResendSubject(key string) string { return "concert.resend." + key }

// PullSubject returns the subject of Pull requests by the holder of a key.
func PullSubject(key string) string { return "concert.pull." + key }

// DeliverSubject returns the subject at which the holder of a key receives the
// messages that a Pull asks for.
func DeliverSubject(key, to string) string { return "concert.deliver." + key + "." + to }

// TaskID names a task. One that its submitter has given an id has no session:
// its number is a hash of that.
type TaskID struct {
	Client  string
	Session string
	Number  string
}

func (id *TaskID) put(f *fields) {
	f.text(1, id.Client)
	f.text(2, id.Session)
	f.text(3, id.Number)
}

func (id *TaskID) take(n protowire.Number, b []byte) {
	switch n {
	case 1:
		id.Client = string(b)
	case 2:
		id.Session = string(b)
	case 3:
		id.Number = string(b)
	}
}

// Key is the id as a key of a bucket, and as the id by which the server drops
// what is published twice.
func (id TaskID) Key() string {
	if id.Session == "" {
		return id.Client + ".kept." + id.Number
	}
	return id.Client + "." + id.Session + "." + id.Number
}

// YieldSubject is where it is said how often a task was given back, which is
// the message of that number and time, in Unix nanoseconds, for a contract.
func YieldSubject(contract string, sequence uint64, time int64) string {
	return fmt.Sprintf("concert.yield.%s.%d.%d", contract, sequence, time)
}

// TryKey names one submission of a task: a task with an id of its own may be
// submitted, canceled, and submitted again. By it the session says that it does
// not want it any more, and the servers know what is published twice.
func TryKey(client, session, try string) string { return client + "." + session + "." + try }

// Cancellation is what a client says of a submission that it does not want any
// more.
func Cancellation(client, session, try string) (subject string, body []byte) {
	return CancelPrefix + "." + client, []byte(session + "." + try)
}

// CanceledKey is the TryKey that a cancellation of a client names; not ok if it
// names none.
func CanceledKey(client string, body []byte) (key string, ok bool) {
	session, try, ok := strings.Cut(string(body[:min(len(body), LongestCancel+1)]), ".")
	if !ok || !ValidToken(client) || !ValidToken(session) || !ValidToken(try) {
		return "", false
	}
	return TryKey(client, session, try), true
}

var lower32 = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Random is a token that nobody can guess: 130 bits.
func Random() string {
	var b [17]byte
	rand.Read(b[:])
	return lower32.EncodeToString(b[:])[:26]
}

// Digest is a short hash that may be a token of a subject: 130 bits.
func Digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return lower32.EncodeToString(sum[:])[:26]
}

// ValidToken reports whether s may be a token of a subject, and a part of a
// key.
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
