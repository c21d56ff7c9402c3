package server

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/jwt/v2"
	nats "github.com/nats-io/nats-server/v2/server"

	"concert/cluster/internal/wire"
)

// Each key of a client or a worker has an account of the NATS server. An
// account can use a subject of another account only if the other account
// exports the subject, and the first account imports it:
//
//	CONCERT     the streams; used by the server itself and by admins
//	(a key)     one account for each client and each worker; its imports from CONCERT are its rights
//
// Permissions alone would not restrict a client or a worker. A request contains
// the subject of its answer, and the servers send answers to any subject, such
// as the subject of a request to delete a stream. So a program that may send a
// request to a stream, or only publish to it, could choose a subject for the
// answer. In this way, the program could delete another stream, or send a
// stored part as a task. But if a request comes through an import, the servers
// send the answer only to the account of the requester.
//
// The body of a request that creates a consumer contains the subject to which
// the consumer delivers. So clients and workers do not create consumers: see
// handshake.go.
//
// If a message has come through a service import of CONCERT, NATS does not
// deliver it to stream imports of the same subject. So messages from one
// account to another are published again in CONCERT: cancellations by their
// stream, and hints and heartbeats by the servers.
//
// If the answer to a request through a service import consists of several
// messages, NATS treats the first empty message without headers as the end of
// the answer. Any client can store such a message. So workers do not request
// messages of consumers through a service import. A server requests the
// messages for a worker, and a stream import delivers them: see onPull.
//
// Only the servers write to the two buckets, see onHeartbeat and taskConsumer.
// So a worker cannot write data of another worker, and readers can trust the
// headers of the messages.
const commonAccount = "CONCERT"

// right is an operation that the holder of a key may do.
type right struct {
	subject string // subject in CONCERT, with %s for the key
	export  string // the exported subject: the same, with a wildcard in place of the key
	kind    string // the response type of NATS: which answers are permitted
	as      string // the subject in the account of the holder; "" for the same subject
}

const (
	oneAnswer    = "singleton" // one answer
	manyAnswers  = "stream"    // several answers
	subscription = ""          // no answer: the holder receives the messages
)

// clientRights are the rights of a client: to publish its own tasks and their
// cancellations, to receive its results and hints, and to read the list of
// workers. The rights permit a client to use any consumer of results by its
// name. This is safe, because the name is the random name of a session, which
// no other client can read.
var clientRights = []right{
	perKey(wire.HandshakeSubject("%s"), wire.HandshakeSubject("*"), oneAnswer),
	perKey("concert.task.*.%s", "concert.task.*.*", oneAnswer),
	perKey("concert.load.%s.*.*", "concert.load.*.*.*", oneAnswer),
	perKey("concert.output.%s.*.*.*", "concert.output.*.*.*.*", oneAnswer),                                  // a client removes its large results after the download
	{wire.CancelRequestSubject("%s"), wire.CancelRequestSubject("*"), oneAnswer, wire.CancelPrefix + ".%s"}, // a server stores the cancellation, see cancel.go
	perKey(wire.HintSubject("%s", "*", "*"), wire.HintSubject("*", "*", "*"), subscription),
	shared(wire.BucketPrefix(wire.WorkerBucket)+".>", subscription),
	shared(wire.BucketPrefix(wire.CapabilityBucket)+".>", subscription),
	shared("$JS.ACK."+wire.ResultStream+".>", oneAnswer),
	shared("$JS.ACK."+wire.KeptStream+".>", oneAnswer),
	api("DIRECT.GET."+wire.KeptStream+".concert.kept.%s.*", "DIRECT.GET."+wire.KeptStream+".concert.kept.*.*", oneAnswer),
	api("DIRECT.GET."+wire.BlobStream+".concert.load.%s.*.*", "DIRECT.GET."+wire.BlobStream+".concert.load.*.*.*", oneAnswer),
	api("DIRECT.GET."+wire.BlobStream+".concert.output.%s.*.*.*", "DIRECT.GET."+wire.BlobStream+".concert.output.*.*.*.*", oneAnswer),
	sharedAPI("DIRECT.GET."+wire.BucketStream(wire.WorkerBucket), manyAnswers),
	sharedAPI("DIRECT.GET."+wire.BucketStream(wire.CapabilityBucket), manyAnswers),
	sharedAPI("CONSUMER.INFO."+wire.ResultStream+".*", oneAnswer),
	sharedAPI("CONSUMER.INFO."+wire.KeptStream+".*", oneAnswer),
	sharedAPI("CONSUMER.DELETE."+wire.ResultStream+".*", oneAnswer),
	sharedAPI("CONSUMER.DELETE."+wire.KeptStream+".*", oneAnswer),
	sharedAPI("CONSUMER.MSG.NEXT."+wire.ResultStream+".*", manyAnswers),
	sharedAPI("CONSUMER.MSG.NEXT."+wire.KeptStream+".*", manyAnswers),
}

// workerRights are the rights of a worker: to fetch tasks of any client for any
// capability set, with their large arguments, to read cancellations, and to
// publish results for any client. A worker cannot submit tasks or read results.
//
// Most subjects of a worker contain its key, and readers use a wildcard for the
// key. The following subjects do not contain the key:
//
//   - Results: a task has one result, no matter which worker runs it. The
//     stream stores one message for each subject, and refuses the second one.
//   - The number of deliveries of a task that do not count: one worker stores
//     this number, and another worker reads it.
//   - Acknowledgments, which are for the consumer of a capability set: all
//     workers with this set share the consumer.
//   - Consumers of cancellations: their names are random, and only the worker
//     that has requested the consumer knows its name.
var workerRights = []right{
	perKey(wire.HandshakeSubject("%s"), wire.HandshakeSubject("*"), oneAnswer),
	perKey(wire.HeartbeatSubject("%s.*"), wire.HeartbeatSubject("*.*"), oneAnswer),
	perKey(wire.ResendSubject("%s"), wire.ResendSubject("*"), oneAnswer),
	perKey(wire.PullSubject("%s"), wire.PullSubject("*"), oneAnswer),
	perKey(wire.DeliverSubject("%s", "*"), wire.DeliverSubject("*", "*"), subscription),
	perKey("concert.output.*.%s.*.*", "concert.output.*.*.*.*", oneAnswer),
	perKey("concert.dead.*.*.%s", "concert.dead.*.*.*", oneAnswer),
	perKey(wire.HintRelaySubject("*", "*", "%s"), wire.HintRelaySubject("*", "*", "*"), oneAnswer),
	shared("concert.result.*.*.*", oneAnswer),
	shared("concert.kept.*.*", oneAnswer),
	shared("concert.yield.*.*.*", oneAnswer),
	shared(wire.CanceledPrefix+".*", subscription),
	shared("$JS.ACK."+wire.TaskStream+".>", oneAnswer),
	sharedAPI("DIRECT.GET."+wire.BlobStream+".concert.load.*.*.*", oneAnswer),
	sharedAPI("DIRECT.GET."+wire.ReleaseStream+".concert.yield.*.*.*", oneAnswer),
	sharedAPI("CONSUMER.INFO."+wire.TaskStream+".*", oneAnswer),
	sharedAPI("CONSUMER.DELETE."+wire.CancelStream+".*", oneAnswer),
}

// rights returns the rights of a role. It returns nil for an admin, who may do
// everything.
func (r Role) rights() []right {
	switch r {
	case Client:
		return clientRights
	case Worker:
		return workerRights
	default:
		return nil
	}
}

// perKey returns a right with a different subject for each key.
func perKey(subject, export, kind string) right {
	return right{subject: subject, export: export, kind: kind}
}

// shared returns a right with the same subject for all keys.
func shared(subject, kind string) right { return perKey(subject, subject, kind) }

// api returns the right to send a request to JetStream. The parameter
// request is the subject of the request, and the parameter export is the
// exported subject, both without "$JS.API.".
func api(request, export, kind string) right {
	return right{"$JS.API." + request, "$JS.API." + export, kind, wire.ClientAPI + "." + request}
}

// sharedAPI returns the right to send a request to JetStream, with the same
// subject for all keys.
func sharedAPI(request, kind string) right { return api(request, request, kind) }

const (
	maxSubscriptions = 256     // maximum for a connection; a connection needs about a dozen, and one more for each request for tasks
	maxLineBytes     = 1 << 10 // maximum size of a protocol line, which contains the subjects of a message

	// Maximum size of the messages that wait for a stream. The stream refuses
	// further messages, and clients and workers repeat these messages.
	maxQueueBytes = 16 << 20

	// How long a server stores the destination of the answer to a request.
	// Holders of keys wait for shorter times.
	responseTimeout = 15 * time.Second
)

// addAccounts adds the accounts of the server and of the holders of keys to the
// options: see "Accounts" in the NATS documentation. The authenticator makes
// later accounts from claims. The accounts at the start are in the options,
// because making thousands of accounts from claims takes quadratic time.
func (a *authenticator) addAccounts(o *nats.Options, holders []Holder) error {
	var text strings.Builder
	fmt.Fprintf(&text, "accounts {\n%s {\njetstream: enabled\nexports: [\n", commonAccount)
	var exported []string
	for _, r := range slices.Concat(clientRights, workerRights) {
		if e := r.exportText(); !slices.Contains(exported, e) {
			exported = append(exported, e)
			text.WriteString(e)
		}
	}
	text.WriteString("]\n}\n")
	for _, h := range holders {
		if h.Role != Admin {
			writeAccount(&text, a.claims(h))
		}
	}
	text.WriteString("}\n")
	return o.ProcessConfigString(text.String())
}

// claims returns the account of a holder: its imports and limits.
func (a *authenticator) claims(h Holder) *jwt.AccountClaims {
	c := jwt.NewAccountClaims(h.Key)
	c.Limits.Conn, c.Limits.Subs = a.connections[h.Role], maxSubscriptions
	for _, r := range h.Role.rights() {
		c.Imports.Add(r.importFor(h.Key))
	}
	return c
}

// writeAccount writes an account in the configuration language of NATS.
func writeAccount(b *strings.Builder, c *jwt.AccountClaims) {
	fmt.Fprintf(b, "%s {\nlimits: {max_connections: %d, max_subscriptions: %d}\nimports: [\n", c.Subject, c.Limits.Conn, c.Limits.Subs)
	for _, i := range c.Imports {
		as := ""
		if i.LocalSubject != "" {
			as = fmt.Sprintf(", to: %q", i.LocalSubject)
		}
		fmt.Fprintf(b, "{%s: {account: %s, subject: %q}%s}\n", i.Type, i.Account, i.Subject, as)
	}
	b.WriteString("]\n}\n")
}

// importFor returns the right as an import of the account of a key.
func (r right) importFor(key string) *jwt.Import {
	perKey := func(subject string) string { return strings.ReplaceAll(subject, "%s", key) }
	i := &jwt.Import{Account: commonAccount, Type: jwt.Service, Subject: jwt.Subject(perKey(r.subject)), LocalSubject: jwt.RenamingSubject(perKey(r.as))}
	if r.kind == subscription {
		i.Type = jwt.Stream
	}
	return i
}

// exportText returns the right as an export of CONCERT, in the configuration
// language of NATS.
func (r right) exportText() string {
	if r.kind == subscription {
		return fmt.Sprintf("{stream: %q}\n", r.export)
	}
	return fmt.Sprintf("{service: %q, response_type: %s, response_threshold: %q}\n", r.export, r.kind, responseTimeout)
}
