package wire

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// The streams and buckets, and who writes and reads each:
//
//	CONCERT_TASKS      concert.task.CONTRACT.CLIENT              clients --> workers, one consumer for each contract
//	CONCERT_RESULTS    concert.result.CLIENT.SESSION.NUMBER      workers --> one session of a client, until it has taken it
//	CONCERT_KEPT       concert.kept.CLIENT.KEY                   results of tasks with an id, for days
//	CONCERT_DEAD       concert.dead.CONTRACT.CLIENT              workers --> whoever looks after the cluster
//	CONCERT_YIELDS     concert.yield.CONTRACT.SEQUENCE.TIME      workers --> workers: how often they gave a task back of their own accord
//	CONCERT_CONTRACTS  one key for each contract: its functions
//	CONCERT_WORKERS    one key for each worker: how many tasks it runs at a time, and how it gets on
//	CONCERT_CANCEL     concert.cancel.CLIENT                     clients --> workers: tasks that are not wanted any more
//	CONCERT_LOAD       concert.load.CLIENT.RANDOM.PART           arguments and results too large for a message, in parts
//	concert.hint.CLIENT.SESSION                                  no stream: that a task has begun, how far it is
//	concert.door.KEY                                             no stream: what a server does for who has a key, see Knock
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

// CancelPrefix is what the subjects of cancellations begin with; the rest is the client.
const CancelPrefix = "concert.cancel"

// BucketPrefix is what the subjects of a bucket begin with; the rest is a key.
func BucketPrefix(bucket string) string { return "$KV." + bucket }

// BucketStream is the stream that a bucket is.
func BucketStream(bucket string) string { return "KV_" + bucket }

// DoorSubject is where the holder of a key knocks.
func DoorSubject(key string) string { return "concert.door." + key }

// TaskSubject is where a client's tasks for a contract go.
func TaskSubject(contract, client string) string { return "concert.task." + contract + "." + client }

// ResultSubject is where the result of a task goes: to the session that waits for it or, if the task has an id of its own, to be kept.
func ResultSubject(id TaskID) string {
	if id.Session == "" {
		return "concert.kept." + id.Client + "." + id.Number
	}
	return "concert.result." + id.Client + "." + id.Session + "." + id.Number
}

// LoadName is a new name of something large of a client.
func LoadName(client string) string { return client + "." + Random() }

// LoadSubject is where a part of something large goes.
func LoadSubject(name string, part int) string {
	return "concert.load." + name + "." + strconv.Itoa(part)
}

// HintSubject is where it is said how a session's tasks get on.
func HintSubject(client, session string) string { return "concert.hint." + client + "." + session }

// TaskID names a task. One that its submitter has given an id has no session: its number is a hash of that.
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

// Key is the id as a key of a bucket, and as the id by which the server drops what is published twice.
func (id TaskID) Key() string {
	if id.Session == "" {
		return id.Client + ".kept." + id.Number
	}
	return id.Client + "." + id.Session + "." + id.Number
}

// YieldSubject is where it is said how often a task was given back, which is the message of that number and time, in Unix nanoseconds, for a contract.
func YieldSubject(contract string, sequence uint64, time int64) string {
	return fmt.Sprintf("concert.yield.%s.%d.%d", contract, sequence, time)
}

// TryKey names one submission of a task: a task with an id of its own may be submitted, cancelled, and submitted again. By it the session
// says that it does not want it any more, and the servers know what is published twice.
func TryKey(client, session, try string) string { return client + "." + session + "." + try }

// Cancellation is what a client says of a submission that it does not want any more.
func Cancellation(client, session, try string) (subject string, body []byte) {
	return CancelPrefix + "." + client, []byte(session + "." + try)
}

// CancelledKey is the TryKey that a cancellation of a client names; not ok if it names none.
func CancelledKey(client string, body []byte) (key string, ok bool) {
	session, try, ok := strings.Cut(string(body[:min(len(body), longestCancel+1)]), ".")
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

// ValidToken reports whether s may be a token of a subject, and a part of a key.
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
